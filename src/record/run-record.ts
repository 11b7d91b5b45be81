// The record of a run in its folder: events and steps as lines, and the summary and curves that they make. A run that goes on adds to it.
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { type EmitEvent, eventLine, parseEventLine, parseMetricsLine, type RunEvent, type StepEvent } from './events.js';
import { appendLines, filterLines, type LineAppender, readLines } from './line-file.js';
import { type RunSeries, RunSeriesBuilder } from './run-series.js';
import { SummaryBuilder } from './summary.js';
import type { Summary } from './summary-schema.js';

export const EVENTS_FILE = 'events.jsonl';
/** A line `{site, round, step, loss, learningRate, tokens}` for every optimizer step. */
export const METRICS_FILE = 'metrics.jsonl';
export const SUMMARY_FILE = 'summary.json';

/** Memory that changed by less than this is not worth a line, except once a minute. */
const MEMORY_CHANGE = 0.02;
const MEMORY_LINE_MS = 60_000;

/** What the files of a run folder say, without changing them. */
export async function readRunRecord(folder: Folder): Promise<{ summary: Summary; series: RunSeries }> {
  const figures = new Figures();
  await replay(folder, (event) => figures.add(event));
  return { summary: figures.summary.summary(), series: figures.series.series() };
}

/**
 * Opens the record of a run, a new one or one that goes on: what is there is read again. Steps of the round that was cut short are kept: sites that
 * have given their result do not do them again, and of the others each is taken once.
 * `elapsedMs` is the time since this process began to work on the run; by default, since it was started.
 */
export async function openRunRecord(folder: Folder, elapsedMs: () => number = () => performance.now()): Promise<RunRecord> {
  // A line that a crash cut short goes.
  for (const file of [METRICS_FILE, EVENTS_FILE]) await filterLines(folder, file, () => true);
  const figures = new Figures();
  await replay(folder, (event) => figures.add(event));
  const events = await appendLines(folder, EVENTS_FILE);
  const metrics = await appendLines(folder, METRICS_FILE);
  return new RunRecord({ folder, events, metrics, figures, elapsedMs });
}

/** Summary, curves, and the time that the run has worked so far. */
class Figures {
  readonly summary = new SummaryBuilder();
  readonly series = new RunSeriesBuilder();
  lastMs = 0;
  /** By site. */
  readonly lastStep = new Map<string, StepEvent>();

  add(event: RunEvent): void {
    this.lastMs = Math.max(this.lastMs, event.atMs ?? 0);
    if (event.type === 'step') this.lastStep.set(event.site, event);
    this.summary.add(event);
    this.series.add(event);
  }
}

interface RecordParts {
  readonly folder: Folder;
  readonly events: LineAppender;
  readonly metrics: LineAppender;
  readonly figures: Figures;
  readonly elapsedMs: () => number;
}

export class RunRecord {
  readonly #parts: RecordParts;
  /** Time that earlier processes worked on the run. */
  readonly #earlierMs: number;
  readonly #lastMemory = new Map<string, { rssBytes: number; peakRssBytes: number; atMs: number }>();

  constructor(parts: RecordParts) {
    this.#parts = parts;
    this.#earlierMs = parts.figures.lastMs;
  }

  /** Records an event; returns at once. What keeps it from the disk is told by `flush`. */
  readonly emit: EmitEvent = (given) => {
    const { events, metrics, figures, elapsedMs } = this.#parts;
    const event = { ...given, atMs: given.atMs ?? this.#earlierMs + Math.round(elapsedMs()) };
    if (event.type === 'step') {
      if (this.#repeats(event)) return;
      metrics.add(eventLine(event));
    } else if (event.type !== 'memory' || this.#worthALine(event)) {
      events.add(eventLine(event));
    }
    figures.add(event);
  };

  summary(): Summary {
    return this.#parts.figures.summary.summary();
  }

  series(): RunSeries {
    return this.#parts.figures.series.series();
  }

  /** Resolves once the system has all lines so far, and `summary.json` is as they say. */
  async flush(): Promise<void> {
    const { events, metrics, folder } = this.#parts;
    await events.flush();
    await metrics.flush();
    await writeText(folder, SUMMARY_FILE, `${JSON.stringify(this.summary(), undefined, 2)}\n`);
  }

  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      await this.#parts.events.close();
      await this.#parts.metrics.close();
    }
  }

  /** A site that was cut off sends again what it does not know to have arrived: the same round, a step that is known. */
  #repeats(event: StepEvent): boolean {
    const last = this.#parts.figures.lastStep.get(event.site);
    return last !== undefined && last.round === event.round && event.step <= last.step;
  }

  #worthALine({
    process,
    rssBytes,
    peakRssBytes,
    atMs,
  }: {
    process: string;
    rssBytes: number;
    peakRssBytes: number;
    atMs: number;
  }): boolean {
    const last = this.#lastMemory.get(process);
    const steady =
      last !== undefined &&
      last.peakRssBytes === peakRssBytes &&
      Math.abs(rssBytes - last.rssBytes) < MEMORY_CHANGE * last.rssBytes &&
      atMs - last.atMs < MEMORY_LINE_MS;
    if (!steady) this.#lastMemory.set(process, { rssBytes, peakRssBytes, atMs });
    return !steady;
  }
}

async function replay(folder: Folder, add: (event: RunEvent) => void): Promise<void> {
  let number = 0;
  for await (const line of readLines(folder, EVENTS_FILE)) add(parseEventLine(line, `${folder.label}/${EVENTS_FILE} line ${++number}`));
  number = 0;
  for await (const line of readLines(folder, METRICS_FILE)) add(parseMetricsLine(line, `${folder.label}/${METRICS_FILE} line ${++number}`));
}
