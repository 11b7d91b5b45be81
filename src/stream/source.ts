// What a stream is sent from.

/** Bytes that can be read again from any offset, so that a corrupt chunk can be sent again and a transfer can go on. */
export interface ByteSource {
  /** Where it is known before sending. */
  readonly totalBytes?: number;
  /** Of the whole, where it is known before sending. */
  readonly digest?: string;
  /** Pieces from an offset on. Borrowed: a piece is valid until the next but one is asked for. */
  read(offset: number): AsyncIterable<Uint8Array>;
}

/** A source over bytes in memory. */
export function memorySource(bytes: Uint8Array, pieceBytes = 1024 * 1024): ByteSource {
  return {
    totalBytes: bytes.length,
    async *read(offset) {
      for (let at = offset; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
    },
  };
}
