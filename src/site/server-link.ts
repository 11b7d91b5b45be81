// What a site's loop needs of the server, whatever connection is under it.

import type { Folder } from '../core/storage.js';
import type { Memory } from '../exchange/protocol.js';
import type { NextTask, ResultFigures, Task } from '../exchange/task.js';
import type { Job } from '../job/job.js';
import type { Manifest } from '../tensor/manifest.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { StepReport } from '../trainer/trainer.js';
import type { TransferFigures } from '../transfer/figures.js';
import type { SpoolInfo } from '../transfer/spool.js';

/** What a site learns when it joins. */
export interface Joined {
  readonly job: Job;
  /** A name of the run, no other one's. */
  readonly run: string;
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

/** Codes a result into a spool. */
export type WriteResult = (spool: { readonly folder: Folder; readonly name: string }) => Promise<SpoolInfo>;

/** Every call survives a lost connection: it connects again and goes on, until the idle limit is over. */
export interface ServerLink {
  join(): Promise<Joined>;
  next(): Promise<NextTask>;
  progress(report: { task: string; steps: readonly StepReport[]; memory: Memory; alive: boolean }): Promise<void>;
  /** Spools that are left over of objects which are none of `among` go. */
  fetchModel(object: string, among: readonly string[]): Promise<ReceivedModel>;
  /** The object that carries the extras of a task. */
  fetchExtras(object: string): Promise<ReceivedModel>;
  /** What the global model consists of, float32, with a note of the dtypes of its checkpoint. */
  fetchManifest(): Promise<Manifest>;
  /** Tells the server that the task's model is here already, so that it can count what was not sent. */
  hasBase(task: string): Promise<void>;
  /**
   * Resolves once the server has verified the result and has it safe. It is kept until then, so that it survives this process. A result is a lazy
   * model, or a function that codes it into a spool.
   */
  sendResult(task: Task, figures: ResultFigures, result: StateDict | WriteResult | undefined): Promise<TransferFigures | undefined>;
  /** Sends the result of this task that an earlier process kept; undefined where there is none. */
  sendKept(task: Task): Promise<TransferFigures | undefined>;
  fail(task: string, code: string, message: string): Promise<void>;
  close(): Promise<void>;
}
