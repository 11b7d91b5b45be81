// Cuts large payloads out of a socket's bytes before a protocol library sees them.
import type { Socket } from 'node:net';
import { readInto } from './direct-reads.js';

/** Receives a payload. */
export interface PayloadSink {
  /** True while bytes can be taken. */
  readonly welcome: boolean;
  /** Memory for the next bytes, with room for at least one. */
  room(): Uint8Array;
  /** So many bytes were put into `room()`. */
  filled(bytes: number): void;
}

/** Buffer sizes for bytes outside payloads: small, until many of them come at once. */
const FIRST_BYTES = 4 * 1024;
const OTHER_BYTES = 64 * 1024;
/**
 * The size of a read between two payloads: bytes of the next payload that come with it are copied.
 */
const BETWEEN_BYTES = FIRST_BYTES;

/**
 * Reads for a socket that a protocol library uses. The library would copy every 64 KiB that the
 * socket brings (16 KiB inside TLS) to fresh memory, after a turn of the event loop. Here payloads
 * go straight to their final place; the library gets all other bytes, and still makes all
 * decisions. A payload is cut out from one boundary of its protocol to the next, so that for the
 * library it never existed.
 */
export abstract class CutReads {
  protected readonly socket: Socket;
  /** The sink of the current payload, and how many bytes of it are missing. */
  protected sink: PayloadSink | undefined;
  protected left = 0;
  #memory = new Uint8Array(FIRST_BYTES);
  /** Bytes outside payloads that have been read and not yet taken. */
  readonly #came: Buffer[] = [];
  #taking = false;
  /** The sink's memory, while the socket reads straight into it. */
  #room: Uint8Array | undefined;
  /** Bytes that the sink does not take yet, and all that came behind them. */
  #held: Buffer[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
  }

  /**
   * Starts to read from the connected socket. Returns false if this version of Node cannot do it:
   * then the library reads everything itself.
   */
  install(): boolean {
    return readInto(this.socket, { buffer: () => this.#nextRoom(), callback: (bytes) => this.#read(bytes) });
  }

  /** Goes on, once the sink takes bytes again. */
  resume(): void {
    for (const bytes of this.#held.splice(0)) this.#take(bytes);
    if (this.#held.length === 0) this.socket.resume();
  }

  /** True while a large payload is expected next. */
  protected abstract get isBetween(): boolean;
  /**
   * Takes some of the bytes outside payloads, from `at` on, and returns the position behind them.
   * Nothing is written over them later.
   */
  protected abstract takeOther(bytes: Buffer, at: number): number;
  /** The bytes are in the sink's memory now. */
  protected arrived(room: Uint8Array): void {
    this.left -= room.length;
    this.sink?.filled(room.length);
  }

  /** True while the library takes bytes as soon as it is given them. */
  protected get isFlowing(): boolean {
    const { socket } = this;
    return socket.readableFlowing === true && socket.readableLength === 0 && socket.listenerCount('data') > 0;
  }

  /** Gives bytes to the library, which may keep them. */
  protected give(bytes: Buffer): void {
    if (this.isFlowing) this.socket.emit('data', bytes);
    else this.socket.push(bytes); // behind the bytes that already wait in the stream
  }

  #nextRoom(): Uint8Array {
    this.#room = this.left > 0 && this.sink?.welcome ? this.sink.room().subarray(0, this.left) : undefined;
    return this.#room ?? (this.isBetween ? this.#memory.subarray(0, BETWEEN_BYTES) : this.#memory);
  }

  /** Returns whether the socket may read on. */
  #read(bytes: number): boolean {
    const room = this.#room;
    if (room) this.arrived(room.subarray(0, bytes));
    else this.#cameOther(bytes);
    return this.#held.length === 0 && (this.sink?.welcome ?? true);
  }

  /**
   * Takes a copy of the bytes. If the library answers while it takes them, TLS may bring the next
   * bytes in the middle of that (TLSWrap::DoWrite of an empty buffer): those wait.
   */
  #cameOther(bytes: number): void {
    this.#came.push(Buffer.from(this.#memory.subarray(0, bytes)));
    if (bytes === this.#memory.length && bytes < OTHER_BYTES) this.#memory = new Uint8Array(OTHER_BYTES);
    if (this.#taking) return;
    this.#taking = true;
    try {
      for (let next = this.#came.shift(); next; next = this.#came.shift()) this.#take(next);
    } finally {
      this.#taking = false;
    }
  }

  #take(bytes: Buffer): void {
    for (let at = 0; at < bytes.length && !this.socket.destroyed; ) {
      const { sink, left } = this;
      if (this.#held.length > 0 || (sink && !sink.welcome)) {
        this.#held.push(bytes.subarray(at));
        return;
      }
      if (!sink || left === 0) at = this.takeOther(bytes, at);
      else {
        const room = sink.room();
        const part = bytes.subarray(at, at + Math.min(left, room.length));
        room.set(part);
        at += part.length;
        this.arrived(room.subarray(0, part.length));
      }
    }
  }
}
