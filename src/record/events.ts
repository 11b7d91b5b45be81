// The events of a run: what server, simulator and `train` emit, and what progress, summary and report are made of.
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';

const round = z.int().min(0);
const bytes = z.int().min(0);
const seconds = z.number().min(0);
const exactMatch = z.number().min(0).max(1);
const site = z.string().min(1).max(256);

/** Milliseconds since the run began, without the time it stood still; the run record fills it in where it is missing. */
const atMs = z.number().min(0).optional();

const categorySchema = z.object({ loss: z.number().optional(), exactMatch, samples: z.int().min(0) });

/** One event, discriminated by `type`. Sizes are in bytes on the wire; `fp32Bytes` is what the same tensors take in float32. */
export const eventSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('run-started'),
    run: z.string(),
    codec: z.string(),
    streaming: z.string(),
    sites: z.array(site),
    /** Rounds that the job asks for. */
    rounds: round,
    seed: z.number(),
    /** ISO 8601. */
    startedAt: z.string(),
    /** By which figure the best round is chosen; the loss where it is missing. */
    selection: z.enum(['loss', 'exactMatch']).optional(),
    /** Parameters of the model. */
    parameters: z.int().min(0).optional(),
    atMs,
  }),
  z.object({ type: z.literal('round-started'), round, atMs }),
  /** An optimizer step: a line of `metrics.jsonl`. */
  z.object({
    type: z.literal('step'),
    site,
    round,
    /** Optimizer steps of this site since the run began, from 1. */
    step: z.int().min(1),
    loss: z.number(),
    learningRate: z.number().optional(),
    tokens: z.int().min(0).optional(),
    atMs,
  }),
  /** A model that has arrived: `down` from the server to the site, `up` from the site to the server. */
  z.object({
    type: z.literal('transfer'),
    site,
    round,
    direction: z.enum(['down', 'up']),
    bytes,
    fp32Bytes: bytes,
    /** What the same tensors take in the dtypes of the checkpoint. */
    ownBytes: bytes.optional(),
    seconds,
    /** Leaves that arrived damaged and were sent again. */
    retries: z.int().min(0),
    /** Bytes that the receiver had from an earlier try: they were not sent again. */
    resumedBytes: bytes.optional(),
    /** The server's, until then. */
    peakRssBytes: bytes.optional(),
    atMs,
  }),
  z.object({
    type: z.literal('site-result'),
    site,
    round,
    trainLoss: z.number(),
    samples: z.int().min(0),
    steps: z.int().min(0),
    /** Numbers from the filters: `saturated`, … */
    counts: z.record(z.string(), z.number()).optional(),
    /** Further numbers of the site's trainer. */
    metrics: z.record(z.string(), z.number()).optional(),
    atMs,
  }),
  /** Figures of the global model after `round`; 0 is the initial model. */
  z.object({
    type: z.literal('evaluation'),
    round,
    loss: z.number(),
    exactMatch: exactMatch.optional(),
    samples: z.int().min(0),
    byCategory: z.record(z.string(), categorySchema).optional(),
    /** Set where it is of what the sites hold of that model, which their start does not have to the bit. */
    held: z.literal(true).optional(),
    atMs,
  }),
  /** Resident memory of a process, now and at its highest. */
  z.object({ type: z.literal('memory'), process: z.string().min(1).max(256), rssBytes: bytes, peakRssBytes: bytes, atMs }),
  z.object({
    type: z.literal('round-finished'),
    round,
    seconds,
    reduceSeconds: seconds.optional(),
    bytesDown: bytes,
    bytesUp: bytes,
    atMs,
  }),
  z.object({ type: z.literal('warning'), message: z.string(), atMs }),
  z.object({ type: z.literal('run-finished'), reason: z.string(), atMs }),
]);

export type RunEvent = z.output<typeof eventSchema>;

export type StepEvent = Extract<RunEvent, { type: 'step' }>;

/** Whoever runs something tells what happens; must not throw, and must not wait. */
export type EmitEvent = (event: RunEvent) => void;

/** The line of `events.jsonl`, or for a step that of `metrics.jsonl`, without its newline. */
export function eventLine(event: RunEvent): string {
  if (event.type !== 'step') return JSON.stringify(event);
  const { site, round, step, loss, learningRate, tokens } = event;
  return JSON.stringify({ site, round, step, loss, learningRate, tokens });
}

/** An event from its line; `io` names `where` (file and line) when it is none. */
export function parseEventLine(line: string, where: string): RunEvent {
  return parseLine(line, where, (value) => eventSchema.parse(value));
}

/** A step from its line of `metrics.jsonl`. */
export function parseMetricsLine(line: string, where: string): StepEvent {
  return parseLine(line, where, (value) => eventSchema.parse({ ...(value as object), type: 'step' }) as StepEvent);
}

function parseLine<T>(line: string, where: string, check: (value: unknown) => T): T {
  try {
    return check(JSON.parse(line));
  } catch (cause) {
    throw new FedStreamError('io', `${where} is not a line of a run; the file was damaged. Remove the line to go on without it`, { cause });
  }
}
