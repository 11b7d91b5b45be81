// The body of a request or an answer, read to where its bytes stay: straight from the socket where that can be, else as the parser brings it.
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { discard } from '../../driver/discard.js';
import { type ChunkedBody, ChunkedReads } from './chunked-reads.js';
import type { PayloadSink } from './cut-reads.js';

export type BodySink = Pick<PayloadSink, 'room' | 'filled'>;

const NOWHERE_BYTES = 64 * 1024;

const readsOf = new WeakMap<Socket, ChunkedReads>();

/** Once for each socket whose bodies are to be read so; it is connected, and TLS on it is ready. */
export function readBodies(socket: Socket): void {
  if (readsOf.has(socket)) return;
  const reads = new ChunkedReads(socket);
  if (reads.install()) readsOf.set(socket, reads);
}

export class HttpBody implements ChunkedBody {
  readonly message: IncomingMessage;
  readonly #reads: ChunkedReads | undefined;
  #sink: BodySink | undefined;
  #welcome = false;

  /** To be made as soon as the head of the message is there: while its event lasts. */
  constructor(message: IncomingMessage) {
    this.message = message;
    this.#reads = readsOf.get(message.socket);
    this.#reads?.begin(this);
  }

  /** Whether its bytes can be taken now. */
  get welcome(): boolean {
    return this.#welcome;
  }

  /** Whether the parser has nothing of it. */
  get isUntouched(): boolean {
    return !this.message.complete && this.message.readableLength === 0;
  }

  /** Its bytes are for the sink; `welcome` as in `flow`. */
  read(sink: BodySink, welcome: boolean): void {
    this.#sink = sink;
    this.message.on('data', (bytes: Buffer) => {
      this.#push(bytes);
      discard(bytes);
    });
    this.flow(welcome);
  }

  flow(welcome: boolean): void {
    this.#welcome = welcome;
    if (!welcome) this.message.pause();
    else {
      this.message.resume();
      this.#reads?.resume();
    }
  }

  /** Reads what comes, for nobody. */
  drop(): void {
    const nowhere = new Uint8Array(NOWHERE_BYTES);
    this.read({ room: () => nowhere, filled: () => {} }, true);
  }

  room(): Uint8Array {
    return (this.#sink as BodySink).room();
  }

  filled(bytes: number): void {
    this.#sink?.filled(bytes);
  }

  #push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const room = this.room();
      const part = bytes.subarray(at, at + room.length);
      room.set(part);
      at += part.length;
      this.filled(part.length);
    }
  }
}
