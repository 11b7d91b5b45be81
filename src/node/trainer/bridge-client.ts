// The public entry `fedstream/trainer`: the bridge to a site, for training programs in TypeScript.
import { connect, type Socket } from 'node:net';
import { basename, dirname } from 'node:path';
import { FedStreamError } from '../../core/errors.js';
import { DTYPES, type Dtype, dtypeBytes } from '../../tensor/dtype.js';
import { checkExtraNames } from '../../tensor/extra-names.js';
import { memoryStateDict } from '../../tensor/memory-state-dict.js';
import { openSafetensors, writeSafetensors } from '../../tensor/safetensors.js';
import type { StateDict } from '../../tensor/state-dict.js';
import { narrowInto, widenInto } from '../../tensor/widen.js';
import { LineSplitter } from '../../trainer/bridge/line-splitter.js';
import {
  BRIDGE_PROTOCOL,
  BRIDGE_VARIABLE,
  type BridgeJob,
  type BridgeTask,
  encodeMessage,
  extraFile,
  MAX_MESSAGE_BYTES,
  parseMessage,
  type SiteMessage,
  siteMessageSchema,
} from '../../trainer/bridge/messages.js';
import type { Fingerprints } from '../../trainer/fingerprints.js';
import { nodeFolder } from '../storage/node-folder.js';

/**
 * A tensor in memory. `values` are F32, F16 and BF16 widened to float32, to be changed in place;
 * tensors of other dtypes have only their `bytes`.
 */
export interface Tensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly values: Float32Array;
  readonly bytes?: Uint8Array;
}

/** A model that the site handed over, to be trained or evaluated. */
export interface ReceivedTask {
  readonly kind: 'train' | 'evaluate';
  readonly currentRound: number;
  readonly rounds: number;
  readonly tensors: readonly Tensor[];
  /**
   * State dicts that came with the task, by name; each is read when it is called. Empty if there
   * are none.
   */
  readonly extras: Readonly<Record<string, () => Promise<readonly Tensor[]>>>;
  /** Numbers that came with the task, by name; empty if there are none. */
  readonly figures: Readonly<Record<string, number>>;
}

/** The figures of a result. For a task of kind `evaluate`, only `evaluation` counts. */
export interface SentFigures {
  /** The weight of this result in the average. */
  readonly samples?: number;
  readonly steps?: number;
  readonly trainLoss?: number;
  /** The evaluation of the model as it was received. */
  readonly evaluation?: { readonly loss: number; readonly exactMatch?: number; readonly samples: number };
  readonly metrics?: Readonly<Record<string, number>>;
}

/** Options of `init`. */
export interface TrainerInit {
  /** Makes the model that the job begins with if the server has none; called only then. */
  initial?(): readonly Tensor[] | Promise<readonly Tensor[]>;
  /**
   * What this program's training rests on, as short texts by name: the server refuses to average
   * with a site that tells another value under the same name (docs/spec/trainer-bridge.md).
   */
  readonly fingerprints?: Fingerprints;
  /**
   * What this program knows beyond plain training, by name (`mu`, `control`, …): a task that needs
   * something else is refused before it gets here.
   */
  readonly knows?: readonly string[];
}

/**
 * Connects to the site that started this program; rejects with `refused` if no site did, and with
 * `closed` if the site is gone.
 */
export async function init({ initial, fingerprints, knows }: TrainerInit = {}): Promise<TrainerBridge> {
  const address = process.env[BRIDGE_VARIABLE];
  if (!address?.startsWith('unix:'))
    throw new FedStreamError('refused', `${BRIDGE_VARIABLE} is not set: a site starts this program (docs/site.md), not a person`);
  const socket = connect(address.slice('unix:'.length));
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', (cause) => reject(new FedStreamError('closed', `the site is not there: ${cause.message}`, { cause })));
  });
  const bridge = new Bridge(socket, initial);
  await bridge.greet(fingerprints, knows);
  return bridge;
}

/** The site, as its training program uses it. */
export interface TrainerBridge {
  readonly site: string;
  /** This program's own folder, kept between runs. */
  readonly folder: string;
  readonly job: BridgeJob;
  /** Waits for the next task; resolves with false once there are no more. */
  isRunning(): Promise<boolean>;
  /** Reads the task that `isRunning` found. */
  receive(): Promise<ReceivedTask>;
  /**
   * Answers the task; pass no tensors for `evaluate`. `extras` are state dicts that go with a
   * trained model, by name; `bad-argument` says which names are allowed.
   */
  send(tensors: readonly Tensor[], figures: SentFigures, extras?: Readonly<Record<string, readonly Tensor[]>>): Promise<void>;
  /** Reports a training step. */
  step(report: { step: number; loss: number; learningRate?: number; tokens?: number }): void;
  /** Tells the site that this program is alive, where it reports no steps for a while. */
  alive(): void;
  /** Writes a line to the site's log. */
  log(message: string, level?: 'debug' | 'info' | 'warn' | 'error'): void;
}

class Bridge implements TrainerBridge {
  site = '';
  folder = '';
  job: BridgeJob = { seed: 0, rounds: 1, train: {} };
  readonly #socket: Socket;
  readonly #initial: TrainerInit['initial'];
  readonly #messages: AsyncGenerator<SiteMessage>;
  #task: BridgeTask | undefined;

  constructor(socket: Socket, initial: TrainerInit['initial']) {
    this.#socket = socket;
    this.#initial = initial;
    this.#messages = siteMessages(socket);
  }

  async greet(fingerprints: Fingerprints | undefined, knows: readonly string[] | undefined): Promise<void> {
    this.#say({ type: 'hello', protocol: BRIDGE_PROTOCOL, client: 'fedstream/trainer' });
    const message = await this.#next();
    if (message.type !== 'welcome') throw new FedStreamError('trainer', `the site sent "${message.type}" before its welcome`);
    ({ site: this.site, folder: this.folder, job: this.job } = message);
    if (fingerprints || knows) this.#say({ type: 'about', fingerprints: fingerprints ?? {}, ...(knows && { knows: [...knows] }) });
  }

  async isRunning(): Promise<boolean> {
    if (this.#task) throw new FedStreamError('bad-argument', `${this.#task.id} has no answer yet: send before the next isRunning`);
    for (;;) {
      this.#say({ type: 'receive' });
      const message = await this.#next();
      if (message.type === 'stop') {
        this.#socket.end();
        return false;
      }
      if (message.type !== 'task') throw new FedStreamError('trainer', `the site sent "${message.type}" in place of a task`);
      if (message.kind !== 'offer') {
        this.#task = message;
        return true;
      }
      await this.#offer(message);
    }
  }

  async receive(): Promise<ReceivedTask> {
    const { kind, round, rounds, model, extras = {}, figures = {} } = this.#open();
    return {
      kind: kind as ReceivedTask['kind'],
      currentRound: round,
      rounds,
      tensors: await readFile(model as string),
      extras: Object.fromEntries(Object.entries(extras).map(([name, path]) => [name, () => readFile(path)])),
      figures,
    };
  }

  async send(tensors: readonly Tensor[], figures: SentFigures, extras: Readonly<Record<string, readonly Tensor[]>> = {}): Promise<void> {
    const task = this.#open();
    const names = Object.keys(extras);
    checkExtraNames(names, 'what is sent');
    if (names.length > 0 && task.kind !== 'train')
      throw new FedStreamError('bad-argument', `extras go with a trained model; ${task.id} is no task of training`);
    if (task.result !== undefined) {
      await writeTensors(task.result, tensors);
      for (const [name, extra] of Object.entries(extras)) await writeTensors(extraFile(task.result, name), extra);
    }
    this.#task = undefined;
    this.#say({ type: 'result', task: task.id, ...figures, extras: names.length > 0 ? names : undefined });
  }

  step(report: { step: number; loss: number; learningRate?: number; tokens?: number }): void {
    this.#say({ type: 'step', ...report });
  }

  alive(): void {
    this.#say({ type: 'alive' });
  }

  log(message: string, level: 'debug' | 'info' | 'warn' | 'error' = 'info'): void {
    this.#say({ type: 'log', level, message });
  }

  async #offer(task: BridgeTask): Promise<void> {
    if (!this.#initial) throw new FedStreamError('bad-argument', 'the server has no model: give init an initial one, or the job a folder');
    await writeTensors(task.result as string, await this.#initial());
    this.#say({ type: 'result', task: task.id });
  }

  #open(): BridgeTask {
    if (!this.#task) throw new FedStreamError('bad-argument', 'there is no task: call isRunning first');
    return this.#task;
  }

  #say(message: Parameters<typeof encodeMessage>[0]): void {
    this.#socket.write(encodeMessage(message));
  }

  async #next(): Promise<SiteMessage> {
    const { value, done } = await this.#messages.next();
    if (done) throw new FedStreamError('closed', 'the site is gone');
    return value;
  }
}

async function* siteMessages(socket: Socket): AsyncGenerator<SiteMessage> {
  const lines = new LineSplitter(MAX_MESSAGE_BYTES);
  for await (const bytes of socket)
    for (const line of lines.push(bytes as Uint8Array)) yield parseMessage(line, siteMessageSchema, 'the site');
}

async function readFile(path: string): Promise<Tensor[]> {
  const file = await openSafetensors(nodeFolder(dirname(path)), basename(path));
  try {
    return await readTensors(file);
  } finally {
    await file.close?.();
  }
}

async function readTensors(model: StateDict): Promise<Tensor[]> {
  const { tensors, chunkElements } = model.manifest;
  const room = new Float32Array(chunkElements);
  const read = tensors.map(({ name, dtype, shape }) => {
    const elements = shape.reduce((product, side) => product * side, 1);
    const float = DTYPES[dtype].quantizable;
    const bytes = float ? undefined : new Uint8Array(dtypeBytes(dtype, elements));
    return { name, dtype, shape, values: new Float32Array(float ? elements : 0), bytes };
  });
  for await (const { tensorIndex, tensor, firstElement, bytes } of model.chunks()) {
    const into = read[tensorIndex] as (typeof read)[number];
    if (into.bytes) into.bytes.set(bytes, dtypeBytes(tensor.dtype, firstElement));
    else into.values.set(widenInto(tensor.dtype, bytes, room), firstElement);
  }
  return read;
}

async function writeTensors(path: string, tensors: readonly Tensor[]): Promise<void> {
  const model = memoryStateDict(
    tensors.map(({ name, dtype, shape, values, bytes }) => ({
      name,
      dtype,
      shape,
      data: bytes ?? narrowInto(dtype, values, new Uint8Array(dtypeBytes(dtype, values.length))),
    })),
  );
  await writeSafetensors(nodeFolder(dirname(path)), basename(path), model, { durable: false });
}
