// What a site's loop needs of the server, whatever connection is under it.

import type { StateDict } from '../tensor/state-dict.js';
import type { StepReport } from '../trainer/trainer.js';
import type { TransferFigures } from '../transfer/figures.js';
import type { ResultFigures, Task } from '../workflow/task.js';
import type { NextTask } from '../workflow/task-board.js';
import type { Job } from './job.js';
import type { Memory } from './protocol.js';

/** What a site learns when it joins. */
export interface Joined {
  readonly job: Job;
  /** Texts of the model folder by file name: `config.json`, `tokenizer.json`, `tokenizer_config.json`. */
  readonly files: Readonly<Record<string, string>>;
}

/** A model that has arrived whole and verified, still encoded as it travelled. */
export interface ReceivedModel {
  readonly model: StateDict;
  readonly figures: TransferFigures;
  /** Lets its spool go. */
  release(): Promise<void>;
}

/** Every call survives a lost connection: it connects again and goes on, until the idle limit is over. */
export interface ServerLink {
  join(): Promise<Joined>;
  next(): Promise<NextTask>;
  progress(report: { task: string; steps: readonly StepReport[]; memory: Memory; alive: boolean }): Promise<void>;
  fetchModel(object: string): Promise<ReceivedModel>;
  /** Resolves once the server has verified the result and has it safe. It is kept until then, so that it survives this process. */
  sendResult(task: Task, figures: ResultFigures, model: StateDict | undefined): Promise<TransferFigures | undefined>;
  /** Sends the result of this task that an earlier process kept; undefined where there is none. */
  sendKept(task: Task): Promise<TransferFigures | undefined>;
  fail(task: string, code: string, message: string): Promise<void>;
  close(): Promise<void>;
}
