// Figures of one transfer, for the round's metrics.
import type { IncomingStream } from '../stream/incoming-stream.js';

/** Sizes and times of one transfer. */
export interface TransferFigures {
  /**
   * Bytes of object and framing that went over the connection (of an object that was resumed, only
   * those sent now).
   */
  readonly wireBytes: number;
  /** Bytes of the object: manifest and coded tensors. */
  readonly objectBytes: number;
  readonly seconds: number;
  /** Number of leaves that were corrupt and sent again. */
  readonly retries: number;
  readonly resumedBytes: number;
  readonly digest: string;
}

/** The figures of a stream that its receiver has read to the end. */
export function receivedFigures(stream: IncomingStream, objectBytes: number, resumedBytes: number, startedMs: number): TransferFigures {
  return {
    wireBytes: stream.wireBytes,
    objectBytes,
    seconds: (performance.now() - startedMs) / 1000,
    retries: stream.retries,
    resumedBytes,
    digest: stream.foundDigest,
  };
}
