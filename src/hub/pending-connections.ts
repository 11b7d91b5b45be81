// Connections that have not sent a hello yet. Their number is limited, so that many of them cost a
// bounded amount of memory.
import { FedStreamError } from '../core/errors.js';
import type { Connection } from '../driver/driver.js';

/**
 * A site sends its hello within a round trip, so more pending connections than this are not
 * expected.
 */
export const MAX_PENDING = 256;

/** The pending connections of a hub, oldest first. */
export class PendingConnections {
  readonly #connections = new Set<Connection>();

  /** Adds a connection; if there are now too many, the oldest is closed with `limit`. */
  add(connection: Connection): void {
    if (this.#connections.size >= MAX_PENDING) {
      const [oldest] = this.#connections as unknown as [Connection];
      this.#connections.delete(oldest);
      void oldest.close(new FedStreamError('limit', `${MAX_PENDING} newer connections are pending and have sent no hello`));
    }
    this.#connections.add(connection);
  }

  /** Called when the connection has sent its hello, or is over. */
  remove(connection: Connection): void {
    this.#connections.delete(connection);
  }

  /** Closes all pending connections. */
  async close(reason: FedStreamError): Promise<void> {
    const closing = [...this.#connections].map((connection) => connection.close(reason));
    this.#connections.clear();
    await Promise.all(closing);
  }
}
