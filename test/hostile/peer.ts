// A peer that speaks the protocol as an attacker does: any frame, at any time.
import { decode } from '@msgpack/msgpack';
import { asFedStreamError, type FedStreamError } from '../../src/core/errors.js';
import type { Connection, Driver } from '../../src/driver/driver.js';
import { encodeFrame, FRAME_TYPES, type Frame, type FrameType } from '../../src/frame/frame.js';
import { pack } from '../../src/frame/pack.js';
import { Session, type SessionOptions } from '../../src/frame/session.js';

/** The reply to a request; `code` and `message` if it was refused. */
export interface PeerReply {
  readonly code?: string;
  readonly message?: string;
  readonly body: unknown;
}

const SESSION_TYPES: ReadonlySet<string> = new Set(['hello', 'ping', 'pong', 'bye']);

/**
 * A session that has said hello. It answers pings by itself, and keeps every other frame that comes
 * for `read`.
 */
export class Peer {
  readonly connection: Connection;
  readonly session: Session;
  readonly #gate: Gate;
  readonly #frames: Frame[] = [];
  readonly #readers: (() => void)[] = [];
  readonly #replies = new Map<number, (reply: PeerReply) => void>();
  #nextId = 1_000_000;

  private constructor(connection: Connection, options: SessionOptions) {
    this.connection = connection;
    this.#gate = new Gate(connection);
    this.session = new Session(this.#gate, options);
    for (const type of Object.keys(FRAME_TYPES) as FrameType[])
      if (!SESSION_TYPES.has(type)) this.session.handle(type, (frame) => this.#came(frame));
    void this.closed.then(() => this.#wake());
  }

  /** Connects and says hello; throws the error with which the server refuses it. */
  static async open(driver: Driver, url: string, options: SessionOptions): Promise<Peer> {
    const peer = new Peer(await driver.connect(url), options);
    await peer.session.start();
    return peer;
  }

  /** Resolves with the reason once the session has ended, on whichever side. */
  get closed(): Promise<FedStreamError> {
    return this.session.closed;
  }

  /** Sends a frame; its header is packed. Resolves once it is flushed, or the session has ended. */
  async send(type: FrameType, stream: number, header?: unknown, payload?: Uint8Array): Promise<void> {
    await this.sendBytes(...encodeFrame(type, stream, header === undefined ? undefined : pack(header), ...(payload ? [payload] : [])));
  }

  /** Sends the parts of one message of the driver, whether they are a frame or not. */
  async sendBytes(...parts: readonly Uint8Array[]): Promise<void> {
    await this.connection.send(...parts).catch((error: unknown) => void asFedStreamError(error));
  }

  /** Makes a request; resolves with the reply. Rejects if the session ends without one. */
  async request(name: string, body: unknown = {}): Promise<PeerReply> {
    return this.requestBytes(name, pack(body));
  }

  /** The same with a body that need not be msgpack. */
  async requestBytes(name: string, body: Uint8Array): Promise<PeerReply> {
    const id = this.#nextId++;
    const reply = new Promise<PeerReply>((resolve) => this.#replies.set(id, resolve));
    await this.send('request', id, { name }, body);
    const lost = this.closed.then((error): never => {
      throw error;
    });
    lost.catch(() => {});
    return Promise.race([reply, lost]);
  }

  /** The next frame that is no reply to a request; undefined once the session has ended. */
  async read(): Promise<Frame | undefined> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame || this.session.ended) return frame;
      await new Promise<void>((resolve) => this.#readers.push(resolve));
    }
  }

  /** Takes nothing more from the connection: the server's frames pile up there. */
  stopReading(): void {
    this.#gate.shut();
  }

  /** Ends the session in good order. */
  async close(): Promise<void> {
    this.#gate.open();
    await this.session.close();
  }

  #came(frame: Frame): void {
    const resolve = frame.type === 'reply' ? this.#replies.get(frame.stream) : undefined;
    if (!resolve) {
      this.#frames.push(frame);
      this.#wake();
      return;
    }
    this.#replies.delete(frame.stream);
    const header = decode(frame.header) as { code?: string; message?: string };
    resolve({ ...header, body: frame.payload.length > 0 ? decode(frame.payload) : undefined });
  }

  #wake(): void {
    for (const resolve of this.#readers.splice(0)) resolve();
  }
}

/** A connection whose reading side can be stopped. */
class Gate implements Connection {
  readonly #inner: Connection;
  #opened: Promise<void> = Promise.resolve();
  #open: () => void = () => {};

  constructor(inner: Connection) {
    this.#inner = inner;
  }

  get peer(): string {
    return this.#inner.peer;
  }

  get certificateNames(): readonly string[] | undefined {
    return this.#inner.certificateNames;
  }

  get closed(): Promise<Error | undefined> {
    return this.#inner.closed;
  }

  shut(): void {
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  open(): void {
    this.#open();
  }

  send(...parts: readonly Uint8Array[]): Promise<void> {
    return this.#inner.send(...parts);
  }

  close(reason?: Error): Promise<void> {
    return this.#inner.close(reason);
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    const frames = this.#inner[Symbol.asyncIterator]();
    return {
      next: async () => {
        await this.#opened;
        return frames.next();
      },
    };
  }
}
