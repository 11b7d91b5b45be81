// The interface between a site's loop and its server, whatever connection is used.
import type { FedStreamError } from '../core/errors.js';
import type { Folder } from '../core/storage.js';
import type { Memory } from '../exchange/protocol.js';
import type { NextTask, ResultFigures, Task } from '../exchange/task.js';
import type { Job } from '../job/job.js';
import type { Manifest } from '../tensor/manifest.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { Fingerprints } from '../trainer/fingerprints.js';
import type { StepReport } from '../trainer/trainer.js';
import type { TransferFigures } from '../transfer/figures.js';
import type { SpoolInfo } from '../transfer/spool.js';
import type { FetchBounds } from './model-bounds.js';

/** The job and run that a site has joined. */
export interface Joined {
  readonly job: Job;
  /** The unique name of the run. */
  readonly run: string;
  /**
   * Texts of the model folder by file name: `config.json`, `tokenizer.json`,
   * `tokenizer_config.json`.
   */
  readonly files: Readonly<Record<string, string>>;
}

/** A model that has arrived whole and verified, still coded as it travelled. */
export interface ReceivedModel {
  readonly model: StateDict;
  readonly figures: TransferFigures;
  /** Closes the model and removes its spool. */
  release(): Promise<void>;
}

/** A function that codes a result into a spool. */
export type WriteResult = (spool: { readonly folder: Folder; readonly name: string }) => Promise<SpoolInfo>;

/**
 * The requests of a site to its server. Every call survives a broken connection: the link
 * reconnects and goes on, until the retry limit is reached.
 */
export interface ServerLink {
  /**
   * Aborted, with the reason, once the link has ended for good: by `close`, or because the server was
   * looked for in vain. Work for the server, such as training, has then no use any more.
   */
  readonly signal?: AbortSignal | undefined;
  join(): Promise<Joined>;
  next(): Promise<NextTask>;
  /**
   * Tells the server what the training of a task rests on. Resolves once the server lets it begin;
   * rejects with `bad-job` where it contradicts what another site has told. A server that is too old
   * to compare is told nothing.
   */
  about(task: string, fingerprints: Fingerprints): Promise<void>;
  progress(report: { task: string; steps: readonly StepReport[]; memory: Memory; alive: boolean }): Promise<void>;
  /**
   * Fetches a model within its bounds. Spools left over from objects that are not in `among` are
   * removed. `limit` where it is larger than its bounds or the site's own limit: nothing of it stays.
   */
  fetchModel(object: string, among: readonly string[], bounds: FetchBounds): Promise<ReceivedModel>;
  /** Fetches the object that carries the extras of a task. */
  fetchExtras(object: string, bounds: FetchBounds): Promise<ReceivedModel>;
  /** Fetches the manifest of the global model: float32, with a note of its checkpoint's dtypes. */
  fetchManifest(): Promise<Manifest>;
  /**
   * Tells the server that the task's model is here already, so that it can count the bytes that
   * were not sent.
   */
  hasBase(task: string): Promise<void>;
  /**
   * Sends a result, which is a lazy model or a function that codes it into a spool. Resolves once
   * the server has verified it and stored it safely. Until then the result is kept, so that it
   * survives a crash of this process.
   */
  sendResult(task: Task, figures: ResultFigures, result: StateDict | WriteResult | undefined): Promise<TransferFigures | undefined>;
  /** Sends the result of this task that an earlier process kept; undefined where there is none. */
  sendKept(task: Task): Promise<TransferFigures | undefined>;
  fail(task: string, code: string, message: string): Promise<void>;
  /** The advice for something that came from the server and is not known here: which side is older. */
  older?(): string | undefined;
  /** Ends at once whatever goes on: a search for the server, a transfer, the session, with the reason if there is one. */
  close(reason?: FedStreamError): Promise<void>;
}
