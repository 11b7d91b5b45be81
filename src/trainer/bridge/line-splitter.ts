// Splits bytes that arrive in pieces into whole lines of limited length.
import { FedStreamError } from '../../core/errors.js';

const LINE_FEED = 0x0a;

/** Splits at line feeds; throws `limit` for a line that is too long. */
export class LineSplitter {
  readonly #maxBytes: number;
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The lines that `bytes` completes, without their line feeds. */
  *push(bytes: Uint8Array): Generator<string> {
    let from = 0;
    for (let end = bytes.indexOf(LINE_FEED); end >= 0; end = bytes.indexOf(LINE_FEED, from)) {
      this.#keep(bytes.subarray(from, end));
      from = end + 1;
      yield this.#line();
    }
    // The beginning of a line is copied, since the bytes belong to the caller.
    if (from < bytes.length) this.#keep(bytes.slice(from));
  }

  #keep(piece: Uint8Array): void {
    this.#bytes += piece.length;
    if (this.#bytes >= this.#maxBytes) throw new FedStreamError('limit', `a line is longer than ${this.#maxBytes} bytes`);
    this.#pieces.push(piece);
  }

  #line(): string {
    const line = new Uint8Array(this.#bytes);
    let at = 0;
    for (const piece of this.#pieces) {
      line.set(piece, at);
      at += piece.length;
    }
    this.#pieces = [];
    this.#bytes = 0;
    return new TextDecoder().decode(line);
  }
}
