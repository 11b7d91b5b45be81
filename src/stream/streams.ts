// The byte streams of a session: many at once, both ways.
import { BUDGETS } from '../core/budgets.js';
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import type { Frame, FrameType } from '../frame/frame.js';
import { pack, unpackHeader } from '../frame/pack.js';
import type { Session } from '../frame/session.js';
import { EarlyAllowance } from './early.js';
import { IncomingStream } from './incoming-stream.js';
import { OutgoingStream, type SendOptions, type SentStream } from './outgoing-stream.js';
import { Path } from './path.js';
import type { ByteSource } from './source.js';
import { openSchema } from './stream-frames.js';

/** The most streams of a peer at once, and those among them that nobody here has accepted yet. */
const MAX_INCOMING = BUDGETS.incomingStreams.limit;
const MAX_UNACCEPTED = BUDGETS.unacceptedStreams.limit;

/** Frames that a stream keeps in flight, however many streams there are: one goes out meanwhile. */
const LEAST_IN_FLIGHT = 2;

const TO_SENDER: readonly FrameType[] = ['accept', 'credit', 'done', 'retry', 'refuse'];
const TO_RECEIVER: readonly FrameType[] = ['data', 'end', 'reset'];

/** Handles the stream frames of a session; construct it before the session starts. */
export class Streams {
  readonly #session: Session;
  readonly #outgoing = new Map<number, OutgoingStream>();
  readonly #incoming = new Map<number, IncomingStream>();
  readonly #path: Path;
  readonly #allowance = new EarlyAllowance();
  #nextId = 1;

  /**
   * `onOpen` owns the stream that it is given: it reads it or rejects it. An error that it throws, at
   * once or later, ends the session.
   */
  constructor(session: Session, onOpen: (stream: IncomingStream) => void) {
    this.#session = session;
    this.#path = new Path(session.lanes);
    session.handle('open', (frame) => this.#opened(frame, onOpen));
    for (const type of TO_SENDER) session.handle(type, (frame) => this.#outgoing.get(frame.stream)?.receive(frame));
    for (const type of TO_RECEIVER) session.handle(type, (frame) => this.#deliver(frame));
    void session.closed.then((error) => this.#fail(error));
  }

  /**
   * Opens a stream, sends the source, and resolves once the other side has confirmed it. Throws as
   * `OutgoingStream.send` does.
   */
  async send(meta: Json, source: ByteSource, options: SendOptions = {}): Promise<SentStream> {
    const id = this.#nextId++;
    const stream = new OutgoingStream(id, this.#session, source, options, this.#allowance);
    this.#outgoing.set(id, stream);
    try {
      // Frames in flight are shared out, so that many streams hold no more memory than a few.
      return await stream.send(meta, Math.max(LEAST_IN_FLIGHT, Math.ceil(this.#session.bulkInFlight / this.#outgoing.size)));
    } finally {
      this.#outgoing.delete(id);
    }
  }

  #opened(frame: Frame, onOpen: (stream: IncomingStream) => void): void {
    const opened = unpackHeader(frame.header, openSchema, 'an open frame');
    const id = frame.stream;
    if (this.#incoming.has(id)) throw new FedStreamError('bad-frame', `stream ${id} was opened twice`);
    if (opened.early !== undefined && !this.#path.usesEarly(opened.early))
      throw new FedStreamError('bad-frame', `stream ${id} begins with ${opened.early} bytes that it was not allowed`);
    const refusal = this.#refusal();
    if (refusal !== undefined) {
      void this.#session.control('refuse', id, pack({ code: 'limit', message: refusal })).catch(() => {});
      return;
    }
    const stream = new IncomingStream(this.#session, id, opened, this.#path, () => this.#incoming.delete(id));
    this.#incoming.set(id, stream);
    const done: unknown = onOpen(stream);
    if (done instanceof Promise) done.catch((error: unknown) => this.#session.close(asFedStreamError(error)));
  }

  /** The reason why one more stream is not taken, if there is one. */
  #refusal(): string | undefined {
    if (this.#incoming.size >= MAX_INCOMING) return `more than ${MAX_INCOMING} streams at once`;
    const unaccepted = [...this.#incoming.values()].filter(({ isAccepted }) => !isAccepted).length;
    return unaccepted >= MAX_UNACCEPTED ? `more than ${MAX_UNACCEPTED} streams at once that nobody has accepted` : undefined;
  }

  /**
   * Hands a frame to its stream. A chunk of a stream that has ended on this side was on its way,
   * and is dropped.
   */
  #deliver(frame: Frame): void {
    const stream = this.#incoming.get(frame.stream);
    if (!stream) {
      frame.release();
      return;
    }
    try {
      stream.receive(frame);
    } catch (error) {
      if (!(error instanceof FedStreamError)) throw error;
      void stream.reject(error);
    }
  }

  #fail(error: FedStreamError): void {
    for (const stream of this.#outgoing.values()) stream.fail(error);
    for (const stream of [...this.#incoming.values()]) stream.fail(error);
  }
}
