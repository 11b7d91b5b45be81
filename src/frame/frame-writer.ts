// Outgoing frames of a session: control before bulk, bulk of several streams in turn.
import { BUDGETS } from '../core/budgets.js';
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Connection } from '../driver/driver.js';

/**
 * Bulk frames that each lane of the driver holds unflushed: enough to keep the socket busy, and so
 * few that control waits for at most two chunks.
 */
const BULK_IN_FLIGHT = 2;

const MAX_CONTROL_BYTES = BUDGETS.controlBytes.limit;
/** Bytes that a waiting frame costs beside its content. */
const FRAME_OVERHEAD_BYTES = 2048;

interface Waiting {
  readonly parts: readonly Uint8Array[];
  resolve(): void;
  reject(error: FedStreamError): void;
}

/**
 * Sends bulk frames first come, first served. A stream has few of them waiting at a time, so
 * streams take turns.
 */
export class FrameWriter {
  readonly #connection: Connection;
  readonly #onStuck: (error: FedStreamError) => void;
  readonly #bulk: Waiting[] = [];
  #inFlight = 0;
  #controlBytes = 0;
  #error: FedStreamError | undefined;

  /**
   * `onStuck` is called once with the error `limit` if the other side does not read and control
   * frames pile up. By then the writer has ended, so whoever is told may try to send more.
   */
  constructor(connection: Connection, onStuck: (error: FedStreamError) => void) {
    this.#connection = connection;
    this.#onStuck = onStuck;
  }

  /** Sends a control frame before any bulk frame that waits; resolves once it is flushed. */
  control(parts: readonly Uint8Array[]): Promise<void> {
    if (this.#error) return Promise.reject(this.#error);
    const bytes = parts.reduce((sum, part) => sum + part.length, FRAME_OVERHEAD_BYTES);
    if (this.#controlBytes + bytes > MAX_CONTROL_BYTES) {
      const error = new FedStreamError(
        'limit',
        `${this.#connection.peer} leaves ${MAX_CONTROL_BYTES / 2 ** 20} MiB of control frames unread`,
      );
      this.end(error);
      this.#onStuck(error);
      return Promise.reject(error);
    }
    this.#controlBytes += bytes;
    return this.#connection.send(...parts).finally(() => {
      this.#controlBytes -= bytes;
    });
  }

  /** Sends a bulk frame; resolves once the parts are flushed and may be reused. */
  bulk(parts: readonly Uint8Array[]): Promise<void> {
    if (this.#error) return Promise.reject(this.#error);
    return new Promise((resolve, reject) => {
      this.#bulk.push({ parts, resolve, reject });
      this.#pump();
    });
  }

  /** The number of bulk frames in flight that keeps the connection busy. */
  get bulkInFlight(): number {
    return BULK_IN_FLIGHT * (this.#connection.lanes ?? 1);
  }

  /** Refuses every frame that waits, and every later one, with this error. */
  end(error: FedStreamError): void {
    this.#error ??= error;
    for (const waiting of this.#bulk.splice(0)) waiting.reject(this.#error);
  }

  #pump(): void {
    while (this.#inFlight < this.bulkInFlight) {
      const next = this.#bulk.shift();
      if (!next) return;
      this.#inFlight++;
      this.#connection
        .send(...next.parts)
        .then(next.resolve, (error: unknown) => next.reject(asFedStreamError(error, 'closed')))
        .finally(() => {
          this.#inFlight--;
          this.#pump();
        });
    }
  }
}
