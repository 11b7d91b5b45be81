// The site's side of a connection of the trainer bridge: hands out one task at a time, takes its
// result.
import { asFedStreamError, FedStreamError } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';
import type { Fingerprints } from '../fingerprints.js';
import type { StepReport } from '../trainer.js';
import { LineSplitter } from './line-splitter.js';
import {
  BRIDGE_PROTOCOL,
  type BridgeJob,
  type BridgePart,
  type BridgeResult,
  type BridgeTask,
  encodeMessage,
  MAX_MESSAGE_BYTES,
  type ProgramMessage,
  parseMessage,
  programMessageSchema,
  type SiteMessage,
} from './messages.js';
import type { BridgeConnection } from './program.js';

/** Options of a session, and its listeners. */
export interface BridgeSessionOptions {
  /** The program's name in messages: `the trainer "hf-sft"`. */
  readonly program: string;
  readonly site: string;
  readonly job: BridgeJob;
  /** The program's own folder, an absolute path. */
  readonly folder: string;
  readonly log: Logger;
  onProgress(): void;
  onStep(report: StepReport): void;
  onPart(part: BridgePart): void;
}

/** What a program tells of itself before its first task. */
export interface About {
  readonly fingerprints: Fingerprints;
  /** Undefined where it does not tell. */
  readonly knows: readonly string[] | undefined;
}

/** Logged lines are cut here, since a program may print a whole tensor. */
const MAX_LOG_CHARACTERS = 4_000;

/** One connection of a program, from its hello to its end. */
export class BridgeSession {
  /**
   * Rejects with `trainer` once the program has broken a rule, or with `closed` once the connection
   * has ended; never resolves.
   */
  readonly failed: Promise<never>;
  /** Resolves once the program has first asked for a task, and so has told all that it tells before. */
  readonly ready: Promise<void>;
  readonly #connection: BridgeConnection;
  readonly #options: BridgeSessionOptions;
  #fail: (error: FedStreamError) => void = () => {};
  #becomeReady: () => void = () => {};
  #about: About = { fingerprints: {}, knows: undefined };
  #ready = false;
  #waiting: BridgeTask | { type: 'stop'; reason: string } | undefined;
  #open: { readonly task: BridgeTask; resolve(result: BridgeResult): void } | undefined;

  constructor(connection: BridgeConnection, options: BridgeSessionOptions) {
    this.#connection = connection;
    this.#options = options;
    this.failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.failed.catch(() => {});
    this.ready = new Promise((resolve) => {
      this.#becomeReady = resolve;
    });
    void this.#read();
  }

  /** What the program has told last about its training. */
  get about(): About {
    return this.#about;
  }

  /** Hands over the values to merge for what a segment of the open task has sent. */
  merge(segment: number, model: string): void {
    if (this.#open) this.#send({ type: 'merge', task: this.#open.task.id, segment, model });
  }

  /**
   * Hands out a task once the program asks for one; resolves with its result. Only `failed` reports
   * errors.
   */
  ask(task: BridgeTask): Promise<BridgeResult> {
    if (this.#open) throw new FedStreamError('internal', `task ${this.#open.task.id} is still open`);
    const answered = new Promise<BridgeResult>((resolve) => {
      this.#open = { task, resolve };
    });
    this.#give(task);
    return answered;
  }

  /** Tells the program that there are no more tasks, so that it ends. */
  stop(reason: string): void {
    this.#give({ type: 'stop', reason });
  }

  close(): void {
    this.#connection.close();
  }

  #give(message: BridgeTask | { type: 'stop'; reason: string }): void {
    if (this.#ready) {
      this.#ready = false;
      this.#send(message);
    } else this.#waiting = message;
  }

  #send(message: SiteMessage): void {
    this.#connection.send(encodeMessage(message));
  }

  async #read(): Promise<void> {
    const { program } = this.#options;
    const lines = new LineSplitter(MAX_MESSAGE_BYTES);
    let greeted = false;
    try {
      for await (const bytes of this.#connection) {
        for (const line of lines.push(bytes)) {
          const message = parseMessage(line, programMessageSchema, program);
          this.#options.onProgress();
          if ((message.type === 'hello') === greeted)
            throw new FedStreamError('trainer', `${program} sent "${message.type}" where ${greeted ? 'no' : 'a'} hello belongs`);
          greeted = true;
          this.#take(message);
        }
      }
      throw new FedStreamError('closed', `${program} closed its connection`);
    } catch (error) {
      const failure = asFedStreamError(error, 'closed');
      this.#fail(failure.code === 'closed' ? failure : new FedStreamError('trainer', failure.message, { cause: failure }));
      this.#connection.close();
    }
  }

  #take(message: ProgramMessage): void {
    const { log, onStep, site, job, folder, program } = this.#options;
    switch (message.type) {
      case 'hello':
        if (message.protocol !== BRIDGE_PROTOCOL)
          throw new FedStreamError('trainer', `${program} speaks version ${message.protocol} of the bridge, not ${BRIDGE_PROTOCOL}`);
        log.info({ client: message.client }, `${program} is connected`);
        this.#send({ type: 'welcome', protocol: BRIDGE_PROTOCOL, site, folder, job });
        break;
      case 'about':
        this.#about = { fingerprints: message.fingerprints, knows: message.knows };
        break;
      case 'receive':
        this.#becomeReady();
        this.#asked();
        break;
      case 'step':
        onStep({ step: message.step, loss: message.loss, learningRate: message.learningRate, tokens: message.tokens });
        break;
      case 'part':
        if (this.#open?.task.id !== message.task || !this.#open.task.parts)
          throw new FedStreamError('trainer', `${program} sent a part of ${message.task}, which is not its task`);
        this.#options.onPart(message);
        break;
      case 'log':
        log[message.level]({ trainer: true }, message.message.slice(0, MAX_LOG_CHARACTERS));
        break;
      case 'result':
        this.#answered(message);
        break;
      case 'alive':
        break;
    }
  }

  #asked(): void {
    const { program } = this.#options;
    if (this.#ready) throw new FedStreamError('trainer', `${program} asked twice for the next task`);
    if (this.#open && this.#open.task !== this.#waiting)
      throw new FedStreamError('trainer', `${program} asked for the next task and has not answered ${this.#open.task.id}`);
    if (!this.#waiting) {
      this.#ready = true;
      return;
    }
    const message = this.#waiting;
    this.#waiting = undefined;
    this.#send(message);
  }

  #answered(result: BridgeResult): void {
    const open = this.#open;
    if (open?.task.id !== result.task || open.task === this.#waiting)
      throw new FedStreamError('trainer', `${this.#options.program} answered ${result.task}, which is not its task`);
    this.#open = undefined;
    open.resolve(result);
  }
}
