// Trainers as rows: what a site makes of the trainer that a job names.
import type { Logger } from '../core/log.js';
import type { Folder } from '../core/storage.js';
import type { Job } from '../job/job.js';
import type { Trainer } from '../trainer/trainer.js';

/** What a trainer is made from. */
export interface TrainerContext {
  readonly site: string;
  readonly job: Job;
  /** A name of the run, no other one's: what a trainer keeps is bound to it. */
  readonly run: string;
  /** Texts of the model folder by file name: `config.json`, `tokenizer.json`, … */
  readonly files: Readonly<Record<string, string>>;
  /** The site's own folder. */
  readonly folder: Folder;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** A trainer, once it is known for which job. */
export type MakeTrainer = (context: TrainerContext) => Promise<Trainer>;
