// A stream that an insider has opened, as the model knows it.
import type { Posted } from './board-watch.js';
import type { ResultObject } from './results.js';

export interface OpenedStream {
  readonly id: number;
  readonly object: ResultObject;
  /** The task that its metadata names; undefined where they name none. */
  readonly posted: Posted | undefined;
  readonly objectId: string | undefined;
  /** True while all that was sent for it keeps to the rules. */
  lawful: boolean;
  /** True once all of it was sent, as it should be. */
  complete: boolean;
  state: 'opened' | 'accepted' | 'ending' | 'over';
  /** The offset of the next byte to send. */
  offset: number;
  limit: number;
  /** True if the site had to answer the task when the stream was opened. */
  readonly inTime: boolean;
  awaitsRetry: boolean;
}

/** A stream that the server has opened for an insider. */
export interface OfferedStream {
  readonly id: number;
  readonly totalBytes: number | undefined;
  /** The round in which it was opened. */
  readonly round: number;
  state: 'opened' | 'accepted' | 'over';
  /** True once all bytes and the end have come. */
  ended: boolean;
  /** The offset that it was accepted from, and where the next byte is expected. */
  start: number;
  offset: number;
  limit: number;
  reached: number;
  /** The payload, until it is compared; undefined where the stream did not begin at 0. */
  readonly pieces: Uint8Array[];
}
