// Connections that have not said who they are: a crowd of them cannot cost more than a known number.
import { FedStreamError } from '../core/errors.js';
import type { Connection } from '../driver/driver.js';

/** A site says hello within a round trip, so that so many are a crowd. */
const MAX_STRANGERS = 256;

export class Strangers {
  readonly #waiting = new Set<Connection>();

  /** `serve` is given the function that says that the connection is a stranger no more, or is over. The oldest of too many is closed. */
  add(connection: Connection, serve: (known: () => void) => void): void {
    if (this.#waiting.size >= MAX_STRANGERS) {
      const [oldest] = this.#waiting as unknown as [Connection];
      this.#waiting.delete(oldest);
      void oldest.close(new FedStreamError('limit', `${MAX_STRANGERS} newer connections wait to say who they are`));
    }
    this.#waiting.add(connection);
    serve(() => this.#waiting.delete(connection));
  }
}
