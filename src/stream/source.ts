// The contract of a source that a stream is sent from.
import type { LeafSums } from './leaf-sums.js';

/**
 * Bytes that can be read again from any offset, so that a corrupt leaf can be sent again and a
 * transfer can be resumed.
 */
export interface ByteSource {
  /** Size of the object, if it is known before sending. */
  readonly totalBytes?: number;
  /** Digest of the whole object, if it is known before sending. */
  readonly digest?: string;
  /**
   * A name for exactly these bytes, for as long as they may be asked for again; the digest by
   * default. Without either, a transfer that broke off begins at 0.
   */
  readonly id?: string;
  /**
   * Checksums of the first leaves, as far as they are known. Known ones are compared with the bytes
   * that are sent; the others are added.
   */
  readonly sums?: LeafSums;
  /**
   * Yields pieces of any size, from an offset on. They are borrowed: a piece is valid until the
   * next one is asked for, or while the next `kept` are if `holds` is set.
   */
  read(offset: number, kept?: number): AsyncIterable<Uint8Array>;
  /** True if pieces stay valid for as long as they are asked to, so that whole leaves go out without a copy. */
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
