// The listening side of striping: sorts new connections into stripes and plain ones.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import { type Connection, DEFAULT_CONNECT_TIMEOUT_MS, DEFAULT_MAX_FRAME_BYTES, type DriverOptions } from './driver.js';
import { decodeJoin, type StripeJoin } from './stripe-join.js';
import { StripedConnection } from './striped-connection.js';

/**
 * The most connections that may wait for a first frame, and the most incomplete groups. Beyond that
 * the oldest connection is passed on, or the oldest group closed, so that a server never holds
 * many.
 */
const MAX_WAITING = 256;

interface Member {
  readonly connection: Connection;
  readonly frames: AsyncIterator<Uint8Array>;
}

interface Group {
  readonly members: (Member | undefined)[];
  readonly names: string;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** Waits for the first frame of each new connection, and for all stripes of each group. */
export class StripeGroups {
  readonly #accept: (connection: Connection) => void;
  readonly #options: DriverOptions;
  readonly #waitMs: number;
  readonly #silent = new Map<Connection, () => void>();
  readonly #groups = new Map<string, Group>();

  constructor(accept: (connection: Connection) => void, options: DriverOptions) {
    this.#accept = accept;
    this.#options = options;
    this.#waitMs = options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS;
  }

  /**
   * Takes a new connection. One that sends nothing in time, or no frame of striping first, is
   * passed on as it is: the session reports what is wrong with it.
   */
  add(connection: Connection): void {
    const frames = connection[Symbol.asyncIterator]();
    const first = frames.next();
    const passOn = (): void => {
      clearTimeout(timer);
      if (this.#silent.delete(connection)) this.#accept(new PlainConnection(connection, first, frames, this.#options.maxFrameBytes));
    };
    const timer = setTimeout(passOn, this.#waitMs);
    this.#silent.set(connection, passOn);
    if (this.#silent.size > MAX_WAITING) oldest(this.#silent)?.();
    first.then(({ value, done }) => {
      const join = done || !this.#silent.has(connection) ? undefined : this.#joinIn(connection, value);
      if (join === undefined) passOn();
      else {
        clearTimeout(timer);
        this.#silent.delete(connection);
        if (join) this.#join(join, { connection, frames });
      }
    }, passOn);
  }

  /** Closes all incomplete groups. */
  close(): void {
    for (const id of [...this.#groups.keys()]) this.#drop(id, new FedStreamError('closed', 'the server no longer listens'));
  }

  /**
   * The join in a first frame: undefined for another frame, false for an invalid join, which was
   * refused.
   */
  #joinIn(connection: Connection, frame: Uint8Array): StripeJoin | false | undefined {
    try {
      return decodeJoin(frame);
    } catch (error) {
      this.#refuse(connection, asFedStreamError(error));
      return false;
    }
  }

  #join({ group: id, index, count }: StripeJoin, member: Member): void {
    const { connection } = member;
    const key = [...id].join();
    const names = JSON.stringify(connection.certificateNames ?? null);
    const group = this.#groups.get(key) ?? this.#begin(key, count, names);
    if (group.names !== names || group.members.length !== count || group.members[index]) {
      this.#refuse(connection, new FedStreamError('bad-frame', `${connection.peer} is not a stripe of the connection that it names`));
      return;
    }
    group.members[index] = member;
    const members = group.members.filter((one) => one !== undefined);
    if (members.length < count) return;
    clearTimeout(group.timer);
    this.#groups.delete(key);
    this.#accept(
      new StripedConnection(
        members.map((one) => one.connection),
        members.map((one) => one.frames),
        this.#options.maxFrameBytes,
      ),
    );
  }

  #begin(key: string, count: number, names: string): Group {
    const late = new FedStreamError('timeout', `not all of its ${count} stripes came within ${this.#waitMs / 1000} s`);
    const timer = setTimeout(() => this.#drop(key, late), this.#waitMs);
    const group: Group = { members: new Array<Member | undefined>(count).fill(undefined), names, timer };
    this.#groups.set(key, group);
    const [eldest] = this.#groups.keys();
    if (this.#groups.size > MAX_WAITING && eldest !== undefined)
      this.#drop(eldest, new FedStreamError('limit', `more than ${MAX_WAITING} striped connections are incomplete`));
    return group;
  }

  #drop(key: string, error: FedStreamError): void {
    const group = this.#groups.get(key);
    if (!group) return;
    clearTimeout(group.timer);
    this.#groups.delete(key);
    for (const member of group.members) if (member) this.#refuse(member.connection, error);
  }

  #refuse(connection: Connection, error: FedStreamError): void {
    this.#options.onRefused?.(connection.peer, error);
    void connection.close(error);
  }
}

function oldest(silent: ReadonlyMap<Connection, () => void>): (() => void) | undefined {
  const [first] = silent.values();
  return first;
}

/** A plain connection whose first frame was read already. */
class PlainConnection implements Connection {
  readonly #connection: Connection;
  readonly #first: Promise<IteratorResult<Uint8Array>>;
  readonly #frames: AsyncIterator<Uint8Array>;
  readonly #maxFrameBytes: number;

  constructor(
    connection: Connection,
    first: Promise<IteratorResult<Uint8Array>>,
    frames: AsyncIterator<Uint8Array>,
    maxFrameBytes = DEFAULT_MAX_FRAME_BYTES,
  ) {
    this.#connection = connection;
    this.#first = first;
    this.#frames = frames;
    this.#maxFrameBytes = maxFrameBytes;
  }

  get peer(): string {
    return this.#connection.peer;
  }

  get certificateNames(): readonly string[] | undefined {
    return this.#connection.certificateNames;
  }

  get closed(): Promise<Error | undefined> {
    return this.#connection.closed;
  }

  send(...parts: readonly Uint8Array[]): Promise<void> {
    return this.#connection.send(...parts);
  }

  release(frame: Uint8Array): void {
    this.#connection.release?.(frame);
  }

  admitted(): void {
    this.#connection.admitted?.();
  }

  close(reason?: Error): Promise<void> {
    return this.#connection.close(reason);
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    let next: Promise<IteratorResult<Uint8Array>> | undefined = this.#first;
    return {
      next: async () => {
        const result = await (next ?? this.#frames.next());
        next = undefined;
        if (!result.done && result.value.length > this.#maxFrameBytes) {
          const error = new FedStreamError(
            'limit',
            `${this.peer} sent a frame of ${result.value.length} bytes; at most ${this.#maxFrameBytes} are taken`,
          );
          await this.close(error);
          throw error;
        }
        return result;
      },
    };
  }
}
