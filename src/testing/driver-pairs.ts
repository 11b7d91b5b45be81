// Connections between a driver's two sides, for the suite of drivers.
import type { Connection, Driver, DriverOptions, Listener } from '../driver/driver.js';
import { check, sameBytes, seededBytes, standstill } from './checks.js';

/** The driver that `testDriver` tries, and where. */
export interface DriverUnderTest {
  /** A new driver for each test. */
  make(): Driver;
  /** A URL to listen on that is free each time, such as `tcp://127.0.0.1:0`. */
  readonly listenUrl: string;
  /** A URL on which nobody listens. */
  readonly deadUrl: string;
  /**
   * Sends bytes to the listener as a peer that knows nothing of the driver, and hangs up; missing
   * where nobody else can connect.
   */
  raw?(url: string, bytes: Uint8Array): Promise<void>;
  /** Connections made one after another, where each is more than a socket; 2,000 by default. */
  readonly connects?: number;
  /**
   * A receiver that does not read must stop its sender before so many; 64 MiB by default, more
   * where there are queues between the drivers.
   */
  readonly mostUnreadBytes?: number;
  /** Tests by name that this driver cannot pass, with the reason. */
  readonly exceptions?: Readonly<Record<string, string>>;
}

const MIB = 1024 * 1024;
/** The queues of both drivers and both kernels together are below. */
const MOST_UNREAD_BYTES = 64 * MIB;

export interface Pair {
  readonly driver: Driver;
  readonly listener: Listener;
  readonly client: Connection;
  readonly server: Connection;
}

export interface Listening {
  readonly driver: Driver;
  readonly listener: Listener;
  /** The next connections that are accepted. */
  accepted(count: number): Promise<Connection>[];
  /** Peers that were told to `onRefused`. */
  readonly refused: string[];
}

export async function withListener(
  subject: DriverUnderTest,
  run: (at: Listening) => Promise<void>,
  limits: DriverOptions = {},
  greet: (connection: Connection) => void = () => {},
): Promise<void> {
  const driver = subject.make();
  const ready: Connection[] = [];
  const waiting: ((connection: Connection) => void)[] = [];
  const all: Connection[] = [];
  const accept = (connection: Connection): void => {
    all.push(connection);
    greet(connection);
    const wake = waiting.shift();
    if (wake) wake(connection);
    else ready.push(connection);
  };
  check(driver.listen !== undefined, 'this driver cannot listen: give the exceptions a reason');
  const refused: string[] = [];
  const onRefused = (peer: string): void => void refused.push(peer);
  const listener = await driver.listen(subject.listenUrl, accept, { ...limits, onRefused });
  const next = (): Promise<Connection> => {
    const connection = ready.shift();
    return connection ? Promise.resolve(connection) : new Promise((resolve) => waiting.push(resolve));
  };
  try {
    await run({ driver, listener, accepted: (count) => Array.from({ length: count }, next), refused });
  } finally {
    await Promise.all(all.map((connection) => connection.close(new Error('the test is over'))));
    await listener.close();
  }
}

export async function withPair(
  subject: DriverUnderTest,
  run: (pair: Pair) => Promise<void>,
  near: { maxFrameBytes?: number } = {},
  far: { maxFrameBytes?: number } = near,
): Promise<void> {
  await withListener(
    subject,
    async ({ driver, listener, accepted }) => {
      const client = await driver.connect(listener.url, near);
      try {
        await run({ driver, listener, client, server: await (accepted(1)[0] as Promise<Connection>) });
      } finally {
        await client.close(new Error('the test is over'));
      }
    },
    far,
  );
}

/** A sender is stopped by a receiver that does not read, and goes on when it does. */
export async function stopsSender(from: Connection, to: Connection, mostBytes = MOST_UNREAD_BYTES): Promise<void> {
  const most = mostBytes / MIB;
  let sent = 0;
  const chunk = seededBytes(3, MIB);
  const sending = (async () => {
    while (sent < most) {
      await from.send(chunk);
      sent++;
    }
  })();
  const stopped = await standstill(() => sent);
  check(stopped < most, `${stopped} MiB were sent to a receiver that did not read`);
  const frames = to[Symbol.asyncIterator]();
  for (let i = 0; i < most; i++) await expectFrame(frames, chunk, `frame ${i}`);
  await sending;
}

/** Rejects where a connection ends without one. */
export async function firstFrame(connection: Promise<Connection>): Promise<Uint8Array> {
  const first = await (await connection)[Symbol.asyncIterator]().next();
  check(!first.done, 'the connection ended without a frame');
  return first.value.slice();
}

export async function expectFrame(frames: AsyncIterator<Uint8Array>, expected: Uint8Array, what: string): Promise<void> {
  const received = await frames.next();
  check(!received.done, `${what}: the connection ended`);
  check(sameBytes(received.value, expected), `${what} was changed on its way`);
}

/**
 * A frame is a plain `Uint8Array`: the `slice` of a subclass may be a view, and a copy that is none
 * spoils what others hold.
 */
export async function expectPlain(frames: AsyncIterator<Uint8Array>, expected: Uint8Array): Promise<void> {
  const received = await frames.next();
  check(!received.done && sameBytes(received.value, expected), 'the first frame was changed on its way');
  const { value } = received;
  value.slice().fill(value[0] === 0 ? 1 : 0);
  check(sameBytes(value, expected), 'the slice of a frame is no copy: give plain arrays');
}

/** Copies, since a frame may be a view of a buffer that the driver uses again. */
export async function readToEnd(connection: Connection): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  for await (const frame of connection) frames.push(frame.slice());
  return frames;
}

/** Sends back what comes, until the other side ends, however it does. */
export async function echo(connection: Connection): Promise<void> {
  try {
    for await (const frame of connection) await connection.send(frame.slice());
  } catch {
    // an abrupt end of the other side is no fault of this one
  }
  await connection.close();
}
