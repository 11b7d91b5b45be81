// The curves of a run that its summary leaves out: loss by step of every site, memory over time of
// every process.
import { Downsampler, type Series } from './downsample.js';
import type { RecordedEvent } from './events.js';

/** More points than a plot has pixels; a short run keeps every step. */
const POINTS = 1024;

/** The data for a report's plots, beside the summary. */
export interface RunSeries {
  /** By site: x is the optimizer step, y the loss. */
  readonly loss: Readonly<Record<string, Series>>;
  /** By process: x is in seconds since the run began, y in bytes. */
  readonly memory: Readonly<Record<string, Series>>;
  /**
   * The steps after which rounds ended, where they are the same for all sites; empty where sites
   * differ.
   */
  readonly roundEnds: readonly number[];
}

/** Takes events one after the other; memory does not grow with the number of steps. */
export class RunSeriesBuilder {
  readonly #loss = new Map<string, Downsampler>();
  readonly #memory = new Map<string, Downsampler>();
  /** The last step of every round, by site. */
  readonly #lastSteps = new Map<string, Map<number, number>>();

  add(event: RecordedEvent): void {
    if (event.type === 'step') {
      entry(this.#loss, event.site, () => new Downsampler(POINTS, 'mean')).add(event.step, event.loss);
      entry(this.#lastSteps, event.site, () => new Map<number, number>()).set(event.round, event.step);
    } else if (event.type === 'memory' && event.atMs !== undefined) {
      entry(this.#memory, event.process, () => new Downsampler(POINTS, 'max')).add(event.atMs / 1000, event.rssBytes);
    }
  }

  series(): RunSeries {
    return { loss: plain(this.#loss), memory: plain(this.#memory), roundEnds: this.#roundEnds() };
  }

  #roundEnds(): number[] {
    const [first, ...others] = [...this.#lastSteps.values()].map((rounds) => [...rounds.values()]);
    const ends = first ?? [];
    return others.every((other) => other.length === ends.length && other.every((step, index) => step === ends[index])) ? ends : [];
  }
}

function entry<Value>(map: Map<string, Value>, key: string, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

function plain(series: ReadonlyMap<string, Downsampler>): Record<string, Series> {
  return Object.fromEntries([...series].map(([name, sampler]) => [name, sampler.series()]));
}
