// Reads the body of a request or an answer into memory that its reader chooses.
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { discard } from '../../driver/discard.js';
import { type ChunkedBody, ChunkedReads } from './chunked-reads.js';
import type { PayloadSink } from './cut-reads.js';

/** Receives the bytes of a body. */
export type BodySink = Pick<PayloadSink, 'room' | 'filled'>;

const NOWHERE_BYTES = 64 * 1024;

const readsOf = new WeakMap<Socket, ChunkedReads>();

/**
 * Reads the bodies on this socket straight from it; called once for each. The socket is connected,
 * and TLS on it is ready.
 */
export function readBodies(socket: Socket): void {
  if (readsOf.has(socket)) return;
  const reads = new ChunkedReads(socket);
  if (reads.install()) readsOf.set(socket, reads);
}

/**
 * The body of one message: it comes straight from the socket if that is possible, and from the
 * parser otherwise.
 */
export class HttpBody implements ChunkedBody {
  readonly message: IncomingMessage;
  readonly #reads: ChunkedReads | undefined;
  #sink: BodySink | undefined;
  #welcome = false;

  /** Must be made as soon as the head of the message has come, during its event. */
  constructor(message: IncomingMessage) {
    this.message = message;
    this.#reads = readsOf.get(message.socket);
    this.#reads?.begin(this);
  }

  /** True while its bytes can be taken. */
  get welcome(): boolean {
    return this.#welcome;
  }

  /** True while the parser has read none of it. */
  get isUntouched(): boolean {
    return !this.message.complete && this.message.readableLength === 0;
  }

  /** Passes its bytes to the sink; `welcome` as in `flow`. */
  read(sink: BodySink, welcome: boolean): void {
    this.#sink = sink;
    this.message.on('data', (bytes: Buffer) => {
      this.#push(bytes);
      discard(bytes);
    });
    this.flow(welcome);
  }

  /** Reads on, or stops until the next call. */
  flow(welcome: boolean): void {
    this.#welcome = welcome;
    if (!welcome) this.message.pause();
    else {
      this.message.resume();
      this.#reads?.resume();
    }
  }

  /** Reads the rest and discards it. */
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
