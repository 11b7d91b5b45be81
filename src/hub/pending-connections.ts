// Connections that have not sent a hello yet. Their number is limited, so that many of them cost a
// bounded amount of memory, and so is their time.
import { BUDGETS } from '../core/budgets.js';
import { FedStreamError } from '../core/errors.js';
import type { Connection } from '../driver/driver.js';
import { FairShare } from '../driver/fair-share.js';
import { addressOf } from '../driver/peer-address.js';

/**
 * The pending connections of a hub. A raw connection may carry several of them (calls of gRPC), so
 * they are counted again, with the same budgets as raw ones.
 */
export class PendingConnections {
  readonly #connections = new FairShare<Connection>({
    most: BUDGETS.pendingConnections.limit,
    mostOfAddress: BUDGETS.pendingOfAddress.limit,
  });
  readonly #timers = new Map<Connection, ReturnType<typeof setTimeout>>();

  /**
   * Adds a connection. If there are now too many, the oldest one of the address that has the most
   * is closed with `limit`; one that says no hello in time, with `timeout`.
   */
  add(connection: Connection): void {
    const address = addressOf(connection.peer);
    const victim = this.#connections.victimOf(address);
    // None of them is young here, so it is never the new one.
    if (victim !== undefined && victim !== 'new') {
      this.remove(victim);
      const from = addressOf(victim.peer);
      void victim.close(new FedStreamError('limit', `newer connections of ${from} are pending and have sent no hello; there are too many`));
    }
    this.#connections.add(address, connection);
    const late = (): void => {
      this.remove(connection);
      void connection.close(
        new FedStreamError('timeout', `${connection.peer} did not say who it is within ${BUDGETS.helloMs.limit / 1000} s`),
      );
    };
    this.#timers.set(connection, setTimeout(late, BUDGETS.helloMs.limit));
  }

  /** Called when the connection has sent its hello, or is over. */
  remove(connection: Connection): void {
    clearTimeout(this.#timers.get(connection));
    this.#timers.delete(connection);
    this.#connections.delete(addressOf(connection.peer), connection);
  }

  /** Closes all pending connections. */
  async close(reason: FedStreamError): Promise<void> {
    const pending = [...this.#connections].map(([, connection]) => connection);
    for (const connection of pending) this.remove(connection);
    await Promise.all(pending.map((connection) => connection.close(reason)));
  }
}
