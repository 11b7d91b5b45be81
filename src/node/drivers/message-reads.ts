// Reads of a socket under `ws`, which cut the messages out that are frames (RFC 6455, 5.2): as they come from FedStream, binary and in one piece.
import type { Socket } from 'node:net';
import { CutReads, type PayloadSink } from './cut-reads.js';
import { turned, type Unmask } from './unmask.js';

export interface MessageSink extends PayloadSink {
  /** A message of so many bytes comes. */
  begin(bytes: number): void;
}

export interface MessageReadsOptions {
  readonly maxBytes: number;
  /** Where the other side must mask. */
  readonly unmask: Unmask | undefined;
}

/** The last part of a message, binary, without extensions. */
const WHOLE_BINARY = 0x82;
const FIN = 0x80;
const OPCODE = 0x0f;
/** From here on, opcodes are of control frames, which may come inside a message. */
const FIRST_CONTROL = 8;
const MASK = 0x80;
const MASK_BYTES = 4;
/** Of a length that says that another of 2 or 8 bytes follows. */
const LENGTH_16 = 126;
const LENGTH_64 = 127;

/** `ws` gets everything else, and whatever breaks a rule. */
export class MessageReads extends CutReads {
  readonly #frames: MessageSink;
  readonly #options: MessageReadsOptions;
  /** What has come of the head of a WebSocket frame. */
  #head: number[] = [];
  /** So much of that `ws` has already. */
  #watched = 0;
  /** Of a WebSocket frame that is for `ws`. */
  #passing = 0;
  /** Inside a message that comes in several WebSocket frames. */
  #fragmented = false;
  #mask: Uint8Array | undefined;

  constructor(socket: Socket, frames: MessageSink, options: MessageReadsOptions) {
    super(socket);
    this.sink = frames; // also while something else comes: what it does not welcome waits, in order
    this.#frames = frames;
    this.#options = options;
  }

  override install(): boolean {
    if (!super.install()) return false;
    // What came together with the handshake waits in the stream, for `ws`.
    if (this.socket.readableLength > 0) {
      this.socket.prependOnceListener('data', (bytes: Buffer) => this.#watch(bytes));
      this.socket.read();
    }
    return true;
  }

  protected override get isBetween(): boolean {
    return true;
  }

  protected override takeOther(bytes: Buffer, at: number): number {
    if (this.#passing > 0) {
      const part = bytes.subarray(at, at + this.#passing);
      this.#passing -= part.length;
      this.give(part);
      return at + part.length;
    }
    this.#takeHead(bytes[at] as number);
    return at + 1;
  }

  protected override arrived(room: Uint8Array): void {
    if (this.#mask) {
      this.#options.unmask?.(room, this.#mask);
      this.#mask = turned(this.#mask, room.length);
    }
    super.arrived(room);
  }

  /** `ws` has these bytes already. */
  #watch(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const passed = Math.min(this.#passing, bytes.length - at);
      this.#passing -= passed;
      at += passed;
      if (at >= bytes.length) return;
      this.#watched++;
      this.#takeHead(bytes[at++] as number);
    }
  }

  #takeHead(byte: number): void {
    const head = this.#head;
    head.push(byte);
    if (head.length < 2) return;
    const [first, second] = head as [number, number];
    const short = second & ~MASK;
    const lengthEnd = 2 + (short === LENGTH_16 ? 2 : short === LENGTH_64 ? 8 : 0);
    const masked = (second & MASK) !== 0;
    if (head.length < lengthEnd + (masked ? MASK_BYTES : 0)) return;
    const watched = this.#watched;
    this.#head = [];
    this.#watched = 0;
    const bytes = short < LENGTH_16 ? short : head.slice(2, lengthEnd).reduce((number, digit) => number * 256 + digit, 0);
    const { maxBytes, unmask } = this.#options;
    const isFrame = first === WHOLE_BINARY && !this.#fragmented && masked === (unmask !== undefined) && bytes > 0 && bytes <= maxBytes;
    if (isFrame && watched === 0 && this.isFlowing) {
      const mask = Uint8Array.from(head.slice(lengthEnd));
      this.#mask = mask.some((part) => part !== 0) ? mask : undefined;
      this.#frames.begin(bytes);
      this.left = bytes;
      return;
    }
    if ((first & OPCODE) < FIRST_CONTROL) this.#fragmented = (first & FIN) === 0;
    this.#passing = bytes;
    if (watched < head.length) this.give(Buffer.from(head.slice(watched)));
  }
}
