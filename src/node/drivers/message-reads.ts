// Cuts the messages that carry frames out of a socket, ahead of `ws` (RFC 6455, 5.2).
import type { Socket } from 'node:net';
import { CutReads, type PayloadSink } from './cut-reads.js';
import { turned, type Unmask } from './unmask.js';

/** Receives messages, each announced by its length. */
export interface MessageSink extends PayloadSink {
  /** A message of so many bytes follows. */
  begin(bytes: number): void;
}

/** The limit of messages, and their mask. */
export interface MessageReadsOptions {
  /** The longest message that is taken now. */
  maxBytes(): number;
  /** Takes the mask off; present if the other side must mask. */
  readonly unmask: Unmask | undefined;
}

/** The first byte of a binary message in one piece, without extensions. */
const WHOLE_BINARY = 0x82;
const FIN = 0x80;
const OPCODE = 0x0f;
/** Opcodes from here on are those of control frames, which may come inside a message. */
const FIRST_CONTROL = 8;
const MASK = 0x80;
const MASK_BYTES = 4;
/** Lengths that announce another length of 2 or 8 bytes. */
const LENGTH_16 = 126;
const LENGTH_64 = 127;

/**
 * Cuts out binary messages in one piece, as FedStream sends them. `ws` gets all other bytes, and
 * whatever breaks a rule.
 */
export class MessageReads extends CutReads {
  readonly #frames: MessageSink;
  readonly #options: MessageReadsOptions;
  /** The bytes of a WebSocket frame's head that have come so far. */
  #head: number[] = [];
  /** How many of those bytes `ws` already has. */
  #watched = 0;
  /** How many bytes of the current WebSocket frame still go to `ws`. */
  #passing = 0;
  /** True inside a message that comes in several WebSocket frames. */
  #fragmented = false;
  #mask: Uint8Array | undefined;

  constructor(socket: Socket, frames: MessageSink, options: MessageReadsOptions) {
    super(socket);
    this.sink = frames; // it stays set: even bytes for `ws` wait while it takes none, to keep the order
    this.#frames = frames;
    this.#options = options;
  }

  override install(): boolean {
    if (!super.install()) return false;
    // Bytes that came together with the handshake wait in the stream, for `ws`.
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

  /** Follows the bytes that `ws` has already. */
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
    const isFrame = first === WHOLE_BINARY && !this.#fragmented && masked === (unmask !== undefined) && bytes > 0 && bytes <= maxBytes();
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
