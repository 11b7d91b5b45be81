// The byte streams of a session: many at once, both ways.
import { FedStreamError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import type { Frame, FrameType } from '../frame/frame.js';
import { pack, unpack } from '../frame/pack.js';
import type { Session } from '../frame/session.js';
import { EarlyAllowance } from './early.js';
import { IncomingStream } from './incoming-stream.js';
import { OutgoingStream, type SendOptions, type SentStream } from './outgoing-stream.js';
import { Path } from './path.js';
import type { ByteSource } from './source.js';
import { openSchema } from './stream-frames.js';

/** The most streams of a peer at once: each costs a window of memory. */
const MAX_INCOMING = 64;

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

  /** `onOpen` owns the stream that it is given: it reads it or rejects it. */
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
      return await stream.send(meta);
    } finally {
      this.#outgoing.delete(id);
    }
  }

  #opened(frame: Frame, onOpen: (stream: IncomingStream) => void): void {
    const opened = unpack(frame.header, openSchema, 'an open frame');
    const id = frame.stream;
    if (this.#incoming.has(id)) throw new FedStreamError('bad-frame', `stream ${id} was opened twice`);
    if (opened.early !== undefined && !this.#path.usesEarly(opened.early))
      throw new FedStreamError('bad-frame', `stream ${id} begins with ${opened.early} bytes that it was not allowed`);
    if (this.#incoming.size >= MAX_INCOMING) {
      const message = `more than ${MAX_INCOMING} streams at once`;
      void this.#session.control('refuse', id, pack({ code: 'limit', message })).catch(() => {});
      return;
    }
    const stream = new IncomingStream(this.#session, id, opened, this.#path, () => this.#incoming.delete(id));
    this.#incoming.set(id, stream);
    onOpen(stream);
  }

  /**
   * Hands a frame to its stream. A chunk of a stream that has ended on this side was on its way,
   * and is dropped.
   */
  #deliver(frame: Frame): void {
    const stream = this.#incoming.get(frame.stream);
    if (!stream) return;
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
