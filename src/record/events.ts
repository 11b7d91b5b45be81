// The events of a run: a schema for each kind, and the stamp that all of them have
// (docs/events.md).
import { z } from 'zod';
import { statisticsSchema } from '../trainer/statistics.js';

const round = z.int().min(0);
const count = z.int().min(0);
const bytes = z.int().min(0);
const seconds = z.number().min(0);
const exactMatch = z.number().min(0).max(1);
const site = z.string().min(1).max(256);
const numbers = z.record(z.string(), z.number());

const figuresSchema = z.object({ loss: z.number(), exactMatch: exactMatch.optional(), samples: count });
const categorySchema = z.object({ loss: z.number().optional(), exactMatch, samples: count });

/** The stamp of every event. The record alone fills it in; code that emits events leaves it out. */
export const stampSchema = z.object({
  /** The run's unique id. */
  run: z.string().min(1).max(256),
  /** Wall clock, ISO 8601 in UTC with milliseconds. */
  time: z.iso.datetime({ precision: 3 }),
  /** Milliseconds that the run has worked so far, without the time between a stop and a resume. */
  atMs: z.number().min(0),
});

/**
 * Every kind of event, by its `type`. A new kind needs another object here and a section in
 * docs/events.md. Sizes are bytes on the wire; `fp32Bytes` is the size of the same tensors in
 * float32.
 */
export const EVENT_KINDS = [
  z.object({
    type: z.literal('run-started'),
    /** The run's name, for people. */
    name: z.string(),
    codec: z.string(),
    streaming: z.string(),
    sites: z.array(site),
    /** Rounds that the job asks for. */
    rounds: round,
    seed: z.number(),
    /** ISO 8601. */
    startedAt: z.string(),
    /** The figure by which the best round is chosen; the loss if missing. */
    selection: z.enum(['loss', 'exactMatch']).optional(),
    /** Parameters of the model. */
    parameters: count.optional(),
  }),
  z.object({ type: z.literal('round-started'), round }),
  /** An optimizer step; a line of `metrics.jsonl`. */
  z.object({
    type: z.literal('step'),
    site,
    round,
    /** Optimizer steps of this site since the run began, from 1. */
    step: z.int().min(1),
    loss: z.number(),
    learningRate: z.number().optional(),
    tokens: count.optional(),
  }),
  /** A transferred model: `down` from the server to the site, `up` from the site to the server. */
  z.object({
    type: z.literal('transfer'),
    site,
    round,
    direction: z.enum(['down', 'up']),
    bytes,
    fp32Bytes: bytes,
    /** Size of the same tensors in the dtypes of the checkpoint. */
    ownBytes: bytes.optional(),
    seconds,
    /** Leaves that arrived damaged and were sent again. */
    retries: count,
    /**
     * Bytes that the receiver already had from an earlier attempt, and that were not sent again.
     */
    resumedBytes: bytes.optional(),
    /** The server's highest resident memory until then. */
    peakRssBytes: bytes.optional(),
  }),
  z.object({
    type: z.literal('site-result'),
    site,
    round,
    trainLoss: z.number(),
    samples: count,
    steps: count,
    /** Counts from the filters: `saturated`, … */
    counts: numbers.optional(),
    /** Further numbers from the site's trainer. */
    metrics: numbers.optional(),
    /** Figures of the site's own model, where it has one. */
    personal: figuresSchema.optional(),
  }),
  /** An update that came on its own time was taken into the model of `round`. */
  z.object({
    type: z.literal('arrival'),
    site,
    round,
    /** The round in which the site was asked; it trained the model of the round before that one. */
    asked: round,
    /** What the update counts for because of its age, 0 to 1, beside the job's `weights`. */
    weight: z.number().min(0).max(1),
  }),
  /** Figures of the global model after `round`; round 0 is the initial model. */
  z.object({
    type: z.literal('evaluation'),
    round,
    loss: z.number(),
    exactMatch: exactMatch.optional(),
    samples: count,
    byCategory: z.record(z.string(), categorySchema).optional(),
    /**
     * Set where the evaluated model is the one that the sites began with, and coding made it differ
     * from the initial model.
     */
    held: z.literal(true).optional(),
  }),
  /** Figures of the sites' own models after `round`, each on its site's data: the mean over the sites. */
  z.object({ type: z.literal('personal-evaluation'), round, loss: z.number(), exactMatch: exactMatch.optional(), samples: count }),
  /** What a model achieves on the data of one site; without figures, why they are not known. */
  z.object({
    type: z.literal('site-evaluation'),
    /** The site whose data it is. */
    site,
    /** The round that the model is of. */
    round,
    /** The site that trained the model; missing for the global model. */
    trained: site.optional(),
    loss: z.number().optional(),
    exactMatch: exactMatch.optional(),
    samples: count.optional(),
    reason: z.string().optional(),
  }),
  /** What is known of the data of a site, or of all sites together; without it, why it is not. */
  z.object({
    type: z.literal('statistics'),
    /** Missing for all sites together. */
    site: site.optional(),
    statistics: statisticsSchema.optional(),
    reason: z.string().optional(),
  }),
  /** Resident memory of a process, now and at its highest. */
  z.object({ type: z.literal('memory'), process: z.string().min(1).max(256), rssBytes: bytes, peakRssBytes: bytes }),
  z.object({
    type: z.literal('round-finished'),
    round,
    seconds,
    reduceSeconds: seconds.optional(),
    bytesDown: bytes,
    bytesUp: bytes,
  }),
  z.object({ type: z.literal('warning'), message: z.string() }),
  z.object({ type: z.literal('run-finished'), reason: z.string() }),
  /** Takes the place of events that a sink had to drop. */
  z.object({ type: z.literal('events-dropped'), count: z.int().min(1) }),
] as const;

const bodySchema = z.discriminatedUnion('type', EVENT_KINDS);

/** The schema of an event as sinks receive it. Fields that a later version adds are ignored. */
export const runEventSchema = bodySchema.and(stampSchema);

/**
 * The schema of an event that is read back: `metrics.jsonl` and old run folders have no full stamp.
 */
export const recordedEventSchema = bodySchema.and(stampSchema.partial());

/** An event without its stamp, as it is emitted. */
export type EventBody = z.output<typeof bodySchema>;

/** The run's id and the two clocks. */
export type Stamp = z.output<typeof stampSchema>;

/** One event of a run, discriminated by `type`; a line of JSON in docs/events.md. */
export type RunEvent = EventBody & Stamp;

/** An event that was read back; its stamp may be missing. */
export type RecordedEvent = EventBody & Partial<Stamp>;

/** One kind of event, by its type. */
export type EventOf<Type extends EventBody['type']> = Extract<EventBody, { type: Type }>;

/** Takes an event; never throws and never waits. */
export type EmitEvent = (event: EventBody) => void;
