// Figures of one transfer, for the round's metrics.
import type { IncomingStream } from '../stream/incoming-stream.js';

export interface TransferFigures {
  /** Object and framing, as they went over the connection (an object that was resumed: only what was sent now). */
  readonly wireBytes: number;
  /** The object: manifest and coded tensors. */
  readonly objectBytes: number;
  readonly seconds: number;
  /** Leaves that were corrupt and sent again. */
  readonly retries: number;
  readonly resumedBytes: number;
  readonly digest: string;
}

/** What a receiver can say of a stream that it has read to its end. */
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
