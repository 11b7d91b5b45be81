// The contract of a broadcast: the global model as all sites get it, each at its own pace.

import type { TaskModel } from '../exchange/task.js';
import type { Manifest } from '../tensor/manifest.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { Prepared } from '../transfer/send.js';

export interface Broadcast {
  /** What a task says of it. */
  readonly model: TaskModel;
  /** What a site holds once it has it: float32, with a note of the dtypes that its trainer is given. Lazy. */
  readonly held: StateDict;
  /** Whether that is the server's model to the bit. */
  readonly exact: boolean;
  /** What is sent under a name; undefined where the name is another's. */
  object(name: string): Promise<OfferedObject | undefined>;
  release(): Promise<void>;
}

export interface OfferedObject {
  readonly prepared: Prepared;
  /** What it consists of, where it brings a site to the model; undefined for a part of the way. */
  readonly brings: Manifest | undefined;
}

/** Makes one broadcast after the other. */
export interface Broadcaster {
  /**
   * The model as the broadcast of that number, from 1; asked again, after a crash too, it is the same one. `model` is float32 with a note of its
   * dtypes, and lies in `modelFile` of the run folder.
   */
  prepare(version: number, model: StateDict, modelFile: string): Promise<Broadcast>;
  /** Files of the run folder, beside its own, that it still needs. */
  needs(): Promise<readonly string[]>;
}
