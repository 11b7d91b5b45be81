// Figures of one transfer, for the round's metrics.
import type { IncomingStream } from '../stream/incoming-stream.js';
import { leafCount } from '../stream/leaf-sums.js';
import { FRAMING_BYTES } from '../stream/stream-frames.js';

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
  const leaves = leafCount(objectBytes) - leafCount(resumedBytes);
  return {
    wireBytes: objectBytes - resumedBytes + leaves * FRAMING_BYTES,
    objectBytes,
    seconds: (performance.now() - startedMs) / 1000,
    retries: stream.retries,
    resumedBytes,
    digest: stream.foundDigest,
  };
}
