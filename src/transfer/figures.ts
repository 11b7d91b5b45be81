// Figures of one transfer, for the round's metrics.

export interface TransferFigures {
  /** Object and framing, as they went over the connection (an object that was resumed: only what was sent now). */
  readonly wireBytes: number;
  /** The object: manifest and coded tensors. */
  readonly objectBytes: number;
  readonly seconds: number;
  /** Chunks that were corrupt and sent again. */
  readonly retries: number;
  readonly resumedBytes: number;
  readonly digest: string;
}
