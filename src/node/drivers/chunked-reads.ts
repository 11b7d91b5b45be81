// Cuts the chunks of HTTP bodies out of a socket, ahead of Node's parser (RFC 9112, 7.1).
import type { IncomingHttpHeaders } from 'node:http';
import { CutReads, type PayloadSink } from './cut-reads.js';

const CR = 13;
const LF = 10;
const HEAD_END = Buffer.from('\r\n\r\n');
const LAST_CHUNK = Buffer.from('0\r\n');
/** The most hexadecimal digits in the length of a chunk that is cut out here. */
const MAX_DIGITS = 8;

/** A body whose chunks may be cut out before the parser sees them. */
export interface ChunkedBody extends PayloadSink {
  readonly message: { readonly headers: IncomingHttpHeaders };
  /** True while the parser has read none of the body. */
  readonly isUntouched: boolean;
}

type Awaited = 'size' | 'LF of size' | 'CR' | 'LF';

/**
 * Cuts plain chunks of a body out of the bytes and leaves all of HTTP to Node's parser: heads, the
 * ends of bodies, and every error. As soon as a chunk is not written as plainly as Node writes it,
 * the parser gets that chunk and the rest of its message.
 */
export class ChunkedReads extends CutReads {
  /** The body that was asked for while the parser was given the end of a head. */
  #asked: ChunkedBody | undefined;
  #feeding = false;
  /** How many bytes of the end of a head have come, and whether the last one completed it. */
  #matched = 0;
  #headEnded = false;
  /** The next part of the protocol, once no byte of a chunk is left. */
  #awaited: Awaited = 'size';
  /** The digits of a chunk's length that have come so far. */
  #size: number[] = [];

  /** Called when the head of a message has come. If the body comes in chunks, they go to `body`. */
  begin(body: ChunkedBody): void {
    if (this.#feeding && body.message.headers['transfer-encoding'] === 'chunked') this.#asked = body;
  }

  protected override get isBetween(): boolean {
    return this.sink !== undefined;
  }

  protected override takeOther(bytes: Buffer, at: number): number {
    if (!this.sink) return this.#parse(bytes, at);
    const byte = bytes[at] as number;
    if (this.#awaited === 'size') this.#takeDigit(byte);
    else if (this.#awaited === 'LF of size') this.#endSize(byte);
    // Any other byte is an error, which the parser reports.
    else if (byte !== (this.#awaited === 'CR' ? CR : LF)) return this.#leave(bytes, at);
    else this.#awaited = this.#awaited === 'CR' ? 'LF' : 'size';
    return at + 1;
  }

  /**
   * Gives the parser the bytes up to the end of a head, since a body may begin there. Returns the
   * position behind it.
   */
  #parse(bytes: Buffer, from: number): number {
    const to = this.#headEnd(bytes, from);
    const part = bytes.subarray(from, to);
    this.#feeding = this.isFlowing;
    this.give(part);
    this.#feeding = false;
    // A peer that ends its lines in another way may have ended its head earlier: then the parser
    // already has a part of the body.
    if (this.#headEnded && this.#asked?.isUntouched) {
      this.sink = this.#asked;
      this.#awaited = 'size';
    }
    this.#asked = undefined;
    return to;
  }

  #headEnd(bytes: Buffer, from: number): number {
    let at = from;
    this.#headEnded = false;
    for (; at < bytes.length && this.#matched > 0; at++) if (this.#endsHead(bytes[at] as number)) return at + 1;
    const found = bytes.indexOf(HEAD_END, at);
    const first = found >= 0 ? found : Math.max(at, bytes.length - HEAD_END.length + 1);
    for (at = first; at < bytes.length; at++) if (this.#endsHead(bytes[at] as number)) return at + 1;
    return bytes.length;
  }

  #endsHead(byte: number): boolean {
    if (byte === HEAD_END[this.#matched]) this.#matched++;
    else this.#matched = byte === CR ? 1 : 0;
    if (this.#matched < HEAD_END.length) return false;
    this.#matched = 2; // its last two bytes may be the first two of the next one
    this.#headEnded = true;
    return true;
  }

  #takeDigit(byte: number): void {
    const digit = Number.parseInt(String.fromCharCode(byte), 16);
    const count = this.#size.push(byte);
    if (digit >= 0 && count <= MAX_DIGITS) return;
    if (byte === CR && count > 1) this.#awaited = 'LF of size';
    else this.#leave(this.#takeSize(), 0);
  }

  #endSize(byte: number): void {
    this.#size.push(byte);
    const asItCame = this.#takeSize();
    const bytes = Number.parseInt(asItCame.toString('latin1'), 16);
    if (byte !== LF) this.#leave(asItCame, 0);
    else if (bytes === 0) this.#leave(LAST_CHUNK, 0);
    else {
      this.left = bytes;
      this.#awaited = 'CR';
    }
  }

  #takeSize(): Buffer {
    const size = Buffer.from(this.#size);
    this.#size = [];
    return size;
  }

  /** Leaves the rest of the message to the parser. */
  #leave(bytes: Buffer, from: number): number {
    this.sink = undefined;
    this.#matched = 0;
    return this.#parse(bytes, from);
  }
}
