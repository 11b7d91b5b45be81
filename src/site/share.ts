// The figures and texts that leave a site beside its updates, and those that stay (docs/site.md).
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import type { Task } from '../exchange/task.js';
import type { Job } from '../job/job.js';
import { withNoteOf } from '../tensor/own-dtypes.js';
import { type StateDict, withManifest } from '../tensor/state-dict.js';

/** The names that a metric may have: a name of a figure, never a line of text. */
export const METRIC_NAME = /^[A-Za-z][A-Za-z0-9_./@-]{0,47}$/;

/** The least number of samples of a bin of statistics, where the owner allows them and names none. */
export const LEAST_COUNT = 10;

/** The schema of `share` in `site.json`. */
export const shareSchema = z.strictObject({
  /** Sends the messages of errors, with the end of a program's output, and not their codes alone. */
  errors: z.boolean().default(false),
  /** Reports the loss of each step. */
  steps: z.boolean().default(true),
  /** False where nothing is told of what the training rests on: the server then compares nothing. */
  fingerprints: z.boolean().optional(),
  /**
   * Tells statistics of the data to a job that asks for them: `true`, or the least number of samples
   * of a bin. By default none leave.
   */
  statistics: z
    .union([z.boolean(), z.strictObject({ leastCount: z.int().min(1).default(LEAST_COUNT) })], {
      error: 'must be true, false, or {"leastCount": number}',
    })
    .optional(),
  /** The names of a trainer's metrics that leave; by default all with the name of a figure. */
  metrics: z.array(z.string().min(1).max(64)).optional(),
});

/** The choices of a site's owner on what is shared. */
export type SiteShare = z.output<typeof shareSchema>;

/** Nothing but codes, figures and updates. */
export const DEFAULT_SHARE: SiteShare = { errors: false, steps: true };

/** The metrics that leave; the log says once for each name which ones stay. */
export class SharedMetrics {
  readonly #share: SiteShare;
  readonly #log: Logger;
  readonly #kept = new Set<string>();

  constructor(share: SiteShare, log: Logger) {
    this.#share = share;
    this.#log = log;
  }

  of(metrics: Readonly<Record<string, number>> | undefined): Record<string, number> | undefined {
    if (!metrics) return undefined;
    return Object.fromEntries(Object.entries(metrics).filter(([name]) => this.#leaves(name)));
  }

  #leaves(name: string): boolean {
    const { metrics } = this.#share;
    if (metrics ? metrics.includes(name) : METRIC_NAME.test(name)) return true;
    if (!this.#kept.has(name)) {
      this.#kept.add(name);
      const why = metrics ? 'share.metrics does not list it' : 'it is no name of a figure';
      this.#log.warn({ metric: name }, `a metric of the trainer stays here: ${why}`);
    }
    return false;
  }
}

/** Throws `refused` for a state dict beside the model that neither the task nor the job names. */
export function checkExtras(
  extras: Readonly<Record<string, unknown>>,
  given: Readonly<Record<string, unknown>>,
  job: Job,
  { id }: Task,
): void {
  const unasked = Object.keys(extras).find((name) => !Object.hasOwn(given, name) && !Object.hasOwn(job.extras, name));
  if (unasked !== undefined)
    throw new FedStreamError(
      'refused',
      `the trainer's result for ${id} carries ${JSON.stringify(unasked)}, which was not asked for: neither the task nor the job's extras name it`,
    );
}

/** The state dict without a file's own metadata, which may say where it came from. */
export function withoutMetadata(model: StateDict): StateDict {
  const { manifest } = model;
  if (Object.keys(manifest.metadata).length === 0) return model;
  return withManifest(model, withNoteOf({ ...manifest, metadata: {} }, manifest));
}
