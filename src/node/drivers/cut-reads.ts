// Reads of a socket under a library that takes its bytes apart, which cut the large payloads out: those go straight to where they stay.
import type { Socket } from 'node:net';
import { readInto } from './direct-reads.js';

/** Where a payload goes. */
export interface PayloadSink {
  /** Whether bytes can be taken now. */
  readonly welcome: boolean;
  /** Where the next bytes go: at least one. */
  room(): Uint8Array;
  /** So many were put there. */
  filled(bytes: number): void;
}

/** For what is no payload: little, until much of it comes. */
const FIRST_BYTES = 4 * 1024;
const OTHER_BYTES = 64 * 1024;
/** Between one payload and the next: what is read of the next is copied. */
const BETWEEN_BYTES = FIRST_BYTES;

/**
 * The library would copy each 64 KiB that the socket brings (16 inside TLS) to fresh memory, after a round of events. It still gets all that is not payload, and
 * decides on it; a payload is cut out from one boundary of its protocol to the next, so that for the library it has never been.
 */
export abstract class CutReads {
  protected readonly socket: Socket;
  /** Of the payload that comes now: where it goes, and how much is missing. */
  protected sink: PayloadSink | undefined;
  protected left = 0;
  #memory = new Uint8Array(FIRST_BYTES);
  /** What is no payload, as it comes, until it is taken. */
  readonly #came: Buffer[] = [];
  #taking = false;
  /** Where the socket reads to, if that is where the payload stays. */
  #room: Uint8Array | undefined;
  /** Came for a payload that is not welcome yet, and what came behind it. */
  #held: Buffer[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
  }

  /** Whether the socket, which is connected, reads by them now. Where this Node cannot do it, the library has everything. */
  install(): boolean {
    return readInto(this.socket, { buffer: () => this.#nextRoom(), callback: (bytes) => this.#read(bytes) });
  }

  /** Payloads are welcome again. */
  resume(): void {
    for (const bytes of this.#held.splice(0)) this.#take(bytes);
    if (this.#held.length === 0) this.socket.resume();
  }

  /** Whether a large payload is awaited. */
  protected abstract get isBetween(): boolean;
  /** Takes some of what is no payload, from `at` on; nothing is written over it later. Returns how far it came. */
  protected abstract takeOther(bytes: Buffer, at: number): number;
  /** The bytes lie in the room of the sink now. */
  protected arrived(room: Uint8Array): void {
    this.left -= room.length;
    this.sink?.filled(room.length);
  }

  /** Whether the library takes what it is given at once. */
  protected get isFlowing(): boolean {
    const { socket } = this;
    return socket.readableFlowing === true && socket.readableLength === 0 && socket.listenerCount('data') > 0;
  }

  /** For the library, which may keep the bytes. */
  protected give(bytes: Buffer): void {
    if (this.isFlowing) this.socket.emit('data', bytes);
    else this.socket.push(bytes); // behind what waits there already
  }

  #nextRoom(): Uint8Array {
    this.#room = this.left > 0 && this.sink?.welcome ? this.sink.room().subarray(0, this.left) : undefined;
    return this.#room ?? (this.isBetween ? this.#memory.subarray(0, BETWEEN_BYTES) : this.#memory);
  }

  /** Whether more is welcome. */
  #read(bytes: number): boolean {
    const room = this.#room;
    if (room) this.arrived(room.subarray(0, bytes));
    else this.#cameOther(bytes);
    return this.#held.length === 0 && (this.sink?.welcome ?? true);
  }

  /** A library that answers while it takes these may make TLS bring the next in the middle of it (TLSWrap::DoWrite of nothing): they are copied, and wait. */
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
