// Pending connections have not said who they are: a crowd of them cannot cost more than a known number.
import { FedStreamError } from '../core/errors.js';
import type { Connection } from '../driver/driver.js';

/** A site says hello within a round trip, so that so many pending ones are a crowd. */
export const MAX_PENDING = 256;

export class PendingConnections {
  readonly #connections = new Set<Connection>();

  /** The oldest of too many is closed with `limit`. */
  add(connection: Connection): void {
    if (this.#connections.size >= MAX_PENDING) {
      const [oldest] = this.#connections as unknown as [Connection];
      this.#connections.delete(oldest);
      void oldest.close(new FedStreamError('limit', `${MAX_PENDING} newer connections wait to say who they are`));
    }
    this.#connections.add(connection);
  }

  /** The connection has said who it is, or is over. */
  remove(connection: Connection): void {
    this.#connections.delete(connection);
  }

  /** Closes all of them. */
  async close(reason: FedStreamError): Promise<void> {
    const closing = [...this.#connections].map((connection) => connection.close(reason));
    this.#connections.clear();
    await Promise.all(closing);
  }
}
