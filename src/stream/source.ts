// What a stream is sent from.
import type { LeafSums } from './leaf-sums.js';

/** Bytes that can be read again from any offset, so that a corrupt leaf can be sent again and a transfer can go on. */
export interface ByteSource {
  /** Where it is known before sending. */
  readonly totalBytes?: number;
  /** Of the whole, where it is known before sending. */
  readonly digest?: string;
  /**
   * A name for exactly these bytes, for as long as they may be asked for again; the digest by default. Without either, a transfer that broke off
   * begins at 0.
   */
  readonly id?: string;
  /** Checksums of the first leaves: what is known already is compared with what is sent, what is not is added. */
  readonly sums?: LeafSums;
  /** Pieces of any size, from an offset on. Borrowed: a piece is valid until the next is asked for, or the next but one where `holds` is set. */
  read(offset: number): AsyncIterable<Uint8Array>;
  /** Whether pieces stay valid for one turn longer, so that whole leaves go out as they lie. */
  readonly holds?: boolean;
}

/** A source over bytes in memory. */
export function memorySource(bytes: Uint8Array, pieceBytes = 1024 * 1024): ByteSource {
  return {
    totalBytes: bytes.length,
    holds: true,
    async *read(offset) {
      for (let at = offset; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
    },
  };
}
