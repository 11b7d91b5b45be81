// A site's connection to its server: one at a time, and one search for the server that everything waits for.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import { limitedLogger } from '../core/limited-log.js';
import type { Logger } from '../core/log.js';
import { pause } from '../core/pause.js';
import type { Session } from '../frame/session.js';
import { DEFAULT_RETRY_MS, Outage } from './outage.js';
import { isWorthARetry } from './transient-errors.js';

/** What runs over one connection. */
export interface Live {
  readonly session: Session;
}

/** Options of `ServerConnection`. */
export interface ServerConnectionOptions<L extends Live> {
  readonly url: string;
  /**
   * One try: resolves once the session has begun. `found` is true where an earlier one did, so that
   * the address is known to be right. Stops at the signal.
   */
  connect(signal: AbortSignal, found: boolean): Promise<L>;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly retryMs?: number | undefined;
  readonly now?: (() => number) | undefined;
}

/** The lines about one server in a minute, of a connection that breaks again and again. */
const LINES_A_MINUTE = 12;

/**
 * Keeps a site connected. Whoever needs the server waits for the same connection; while there is
 * none, exactly one search goes on, whatever waits for it. It ends once: when it is closed, when the
 * server was looked for long enough, or where another try cannot help. From then on everything is
 * refused with that reason at once.
 */
export class ServerConnection<L extends Live> {
  readonly #options: ServerConnectionOptions<L>;
  readonly #log: Logger;
  readonly #end = new AbortController();
  /** Told to the server when the connection ends; undefined where all is done. */
  #bye: FedStreamError | undefined;
  #current: Promise<L> | undefined;
  /** The connection that `#current` has found. */
  #last: L | undefined;
  #outage: Outage | undefined;
  #found = false;

  constructor(options: ServerConnectionOptions<L>) {
    this.#options = options;
    this.#log = limitedLogger(options.log, { linesAMinute: LINES_A_MINUTE, of: options.url });
    const { signal } = options;
    const stopped = (): void => {
      const reason = asFedStreamError(signal.reason, 'aborted');
      this.#finish(reason, reason);
    };
    signal.addEventListener('abort', stopped, { once: true, signal: this.signal });
    if (signal.aborted) stopped();
  }

  /** Aborted with the reason once there is no connection any more, nor will be. */
  get signal(): AbortSignal {
    return this.#end.signal;
  }

  /** The connection, as soon as there is one. Rejects with the reason once it has ended for good. */
  live(): Promise<L> {
    if (this.signal.aborted) return Promise.reject(this.signal.reason);
    this.#current ??= this.#search(undefined);
    return this.#current;
  }

  /** Lets a connection go that has failed, and looks for the server again. Only the first call of each does something. */
  async lost(live: L, failure: FedStreamError): Promise<void> {
    if (this.#last === live && !this.signal.aborted) {
      this.#last = undefined;
      this.#current = this.#search(failure);
      this.#current.catch(() => {}); // whoever waits for it hears of it
    }
    await live.session.close();
  }

  /** Ends at once whatever goes on: the search, its pause, a try, the session. */
  async close(bye?: FedStreamError): Promise<void> {
    this.#finish(bye ?? new FedStreamError('closed', `the connection to ${this.#options.url} was closed`), bye);
    const live = await this.#current?.catch(() => undefined);
    await live?.session.close(this.#bye);
  }

  #finish(reason: FedStreamError, bye: FedStreamError | undefined): void {
    if (this.signal.aborted) return;
    this.#bye = bye;
    this.#end.abort(reason);
  }

  /** Looks for the server, after a pause where a connection broke. */
  async #search(broke: FedStreamError | undefined): Promise<L> {
    let failure = broke;
    for (let damaged = 0; ; damaged++) {
      try {
        if (failure) await this.#wait(failure, damaged);
        const live = await this.#options.connect(this.signal, this.#found);
        this.#keep(live);
        return live;
      } catch (error) {
        if (this.signal.aborted) throw this.signal.reason;
        failure = asFedStreamError(error);
      }
    }
  }

  /** Waits until the next try; rejects, and ends the connection, where there is none. */
  async #wait(failure: FedStreamError, damaged: number): Promise<void> {
    const pauseMs = this.#pauseAfter(failure, damaged);
    if (pauseMs instanceof FedStreamError) {
      this.#finish(pauseMs, pauseMs);
      throw pauseMs;
    }
    await pause(pauseMs, this.signal);
  }

  /** The pause before the next try, or the error with which the search ends. */
  #pauseAfter(failure: FedStreamError, damaged: number): number | FedStreamError {
    const { retryMs = DEFAULT_RETRY_MS } = this.#options;
    // An address that was right before is right: something else answers there while the server is away.
    const elsewhere = this.#found && failure.code === 'bad-argument';
    if (
      !elsewhere &&
      !isWorthARetry(failure, { damaged, sessionEnded: true, found: this.#found, forEver: retryMs === Number.POSITIVE_INFINITY })
    )
      return failure;
    if (!this.#outage) {
      const { url, now = () => performance.now() } = this.#options;
      this.#outage = new Outage({ url, retryMs, log: this.#log, now });
    }
    const pauseMs = this.#outage.failed(failure);
    if (pauseMs !== undefined) return pauseMs;
    const message = `${failure.message}; the server was looked for in vain for ${this.#outage.lasted} (--retry says for how long)`;
    return new FedStreamError(failure.code, message, { cause: failure });
  }

  #keep(live: L): void {
    const { session } = live;
    this.#last = live;
    this.#outage?.over();
    this.#outage = undefined;
    this.#found = true;
    const ended = (): void => void session.close(this.#bye);
    if (this.signal.aborted) ended();
    else this.signal.addEventListener('abort', ended, { once: true });
    void session.closed.then(() => this.signal.removeEventListener('abort', ended));
  }
}
