// Trainers as rows of the kit: a function that makes the trainer that a job names.
import type { Logger } from '../core/log.js';
import type { Folder } from '../core/storage.js';
import type { Job } from '../job/job.js';
import type { Trainer } from '../trainer/trainer.js';

/** The site, job and run that a trainer is made for. */
export interface TrainerContext {
  readonly site: string;
  readonly job: Job;
  /** The unique name of the run. */
  readonly run: string;
  /** Texts of the model folder by file name: `config.json`, `tokenizer.json`, … */
  readonly files: Readonly<Record<string, string>>;
  /** The site's folder of this run: what a trainer keeps there is found again by the same run alone. */
  readonly folder: Folder;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Makes a trainer for a job. */
export type MakeTrainer = (context: TrainerContext) => Promise<Trainer>;
