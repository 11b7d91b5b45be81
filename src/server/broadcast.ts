// The contract of a broadcast: the global model as all sites get it, each at its own pace.

import type { Folder } from '../core/storage.js';
import type { TaskModel } from '../exchange/task.js';
import type { Manifest } from '../tensor/manifest.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { Prepared } from '../transfer/send.js';

/** One version of the global model, prepared for sending. */
export interface Broadcast {
  /** The description of the model that goes into a task. */
  readonly model: TaskModel;
  /**
   * The model that a site holds once it has the broadcast: float32, with a note of the dtypes that
   * its trainer is given. Lazy.
   */
  readonly held: StateDict;
  /** True where `held` is the server's model to the bit. */
  readonly exact: boolean;
  /** The object of that name; undefined where the name belongs to something else. */
  object(name: string): Promise<OfferedObject | undefined>;
  /** The file of the run folder that `held` is read from, where it is not the server's own model. */
  readonly file?: string | undefined;
  release(): Promise<void>;
}

/** A broadcast that was prepared before, for sites that are still at work on it. */
export interface EarlierBroadcast {
  readonly version: number;
  /** The server's own model as it was, and the description of it that went into tasks. */
  readonly master: StateDict;
  readonly model: TaskModel;
  /** `Broadcast.file` as it was. */
  readonly file: string | undefined;
  /** The folder for spools of its round. */
  readonly folder: Folder;
}

/** An object that sites can fetch. */
export interface OfferedObject {
  readonly prepared: Prepared;
  /**
   * The manifest of the model that a site has after fetching it; undefined for an update, which
   * alone does not bring a site to the model.
   */
  readonly brings: Manifest | undefined;
}

/** Prepares one broadcast after the other. */
export interface Broadcaster {
  /**
   * Prepares the model as the broadcast of that number, counted from 1. A second call, also after a
   * crash, returns the same broadcast; so does a call for the one before the last. `model` is float32
   * with a note of its dtypes, and lies in `modelFile` of the run folder; without one it is copied where
   * that is needed.
   */
  prepare(version: number, model: StateDict, modelFile: string | undefined): Promise<Broadcast>;
  /** Opens an earlier broadcast again after a crash. Rejects where its files are gone. */
  reopen(earlier: EarlierBroadcast): Promise<Broadcast>;
  /** Files of the run folder, besides its own, that it still needs. */
  needs(): Promise<readonly string[]>;
}
