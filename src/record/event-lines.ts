// Events as lines of JSON: written to files and pipes and read back, including lines of older and
// later versions.

import { FedStreamError } from '../core/errors.js';
import { jsonText } from '../core/json-text.js';
import { EVENT_KINDS, type EventOf, type RecordedEvent, type RunEvent, recordedEventSchema, runEventSchema } from './events.js';

const KNOWN_TYPES: ReadonlySet<unknown> = new Set(EVENT_KINDS.map(({ shape }) => shape.type.value));

/**
 * An event as a line, without the newline. The stamp comes right after the type, where people look
 * for it.
 */
export function eventLine({ type, run, time, atMs, ...fields }: RunEvent): string {
  return jsonText({ type, run, time, atMs, ...fields }, `the event ${type}`);
}

/**
 * A step as a line of `metrics.jsonl`: its figures only, since a long run has millions of steps.
 */
export function metricsLine({ site, round, step, loss, learningRate, tokens }: EventOf<'step'>): string {
  return jsonText({ site, round, step, loss, learningRate, tokens }, `step ${step} of ${site}`);
}

/**
 * Reads an event from a line of this version, as one process sends it to another. Throws `io`,
 * naming `where`.
 */
export function parseEventLine(line: string, where: string): RunEvent {
  return parseLine(line, where, (value) => runEventSchema.parse(value));
}

/**
 * Reads an event from a line of `events.jsonl`; undefined for a kind that only a later version
 * knows. Throws `io`, naming `where` (file and line), for anything else.
 */
export function parseRecordedLine(line: string, where: string): RecordedEvent | undefined {
  return parseLine(line, where, (value) => {
    if (isOfLaterVersion(value)) return undefined;
    return recordedEventSchema.parse(withName(value));
  });
}

/** Reads a step from its line of `metrics.jsonl`. Throws `io`, naming `where`. */
export function parseMetricsLine(line: string, where: string): EventOf<'step'> {
  return parseLine(line, where, (value) => recordedEventSchema.parse({ ...(value as object), type: 'step' }) as EventOf<'step'>);
}

function isOfLaterVersion(value: unknown): boolean {
  const type = (value as { type?: unknown } | null)?.type;
  return typeof type === 'string' && !KNOWN_TYPES.has(type);
}

/** Before events had a run id, the field `run` of `run-started` was the run's name. */
function withName(value: unknown): unknown {
  const { type, name, run, ...rest } = value as Readonly<Record<string, unknown>>;
  return type === 'run-started' && name === undefined ? { type, name: run, ...rest } : value;
}

function parseLine<T>(line: string, where: string, check: (value: unknown) => T): T {
  try {
    return check(JSON.parse(line));
  } catch (cause) {
    throw new FedStreamError('io', `${where} is not a line of a run; the file was damaged. Remove the line to go on without it`, { cause });
  }
}
