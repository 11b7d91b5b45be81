// Two sessions joined by a driver, with their streams, for the tests of the wire.
import type { Connection, Driver } from '../../src/driver/driver.js';
import { Session, type SessionOptions } from '../../src/frame/session.js';
import type { IncomingStream } from '../../src/stream/incoming-stream.js';
import { Streams } from '../../src/stream/streams.js';

export interface Linked {
  readonly near: { readonly session: Session; readonly streams: Streams };
  readonly far: { readonly session: Session; readonly streams: Streams };
  /** Streams of the near side, as the far side gets them, in order. */
  opened(): Promise<IncomingStream>;
  close(): Promise<void>;
}

export interface LinkOptions extends Partial<SessionOptions> {
  /** May tamper with the near side's frames. */
  wire?(connection: Connection): Connection;
}

export async function link(driver: Driver, listenUrl: string, options: LinkOptions = {}): Promise<Linked> {
  let accept: (connection: Connection) => void = () => {};
  const accepted = new Promise<Connection>((resolve) => {
    accept = resolve;
  });
  const listener = await driver.listen?.(listenUrl, accept);
  if (!listener) throw new Error('this driver cannot listen');
  const connection = await driver.connect(listener.url);
  const nearSession = new Session(options.wire?.(connection) ?? connection, { name: 'near', ...options });
  const farSession = new Session(await accepted, { name: 'far', ...options });
  const ready: IncomingStream[] = [];
  const waiting: ((stream: IncomingStream) => void)[] = [];
  const near = { session: nearSession, streams: new Streams(nearSession, () => {}) };
  const far = {
    session: farSession,
    streams: new Streams(farSession, (stream) => {
      const wake = waiting.shift();
      if (wake) wake(stream);
      else ready.push(stream);
    }),
  };
  await Promise.all([nearSession.start(), farSession.start()]);
  return {
    near,
    far,
    opened: () => {
      const stream = ready.shift();
      return stream ? Promise.resolve(stream) : new Promise((resolve) => waiting.push(resolve));
    },
    close: async () => {
      await nearSession.close();
      await farSession.closed;
      await listener.close();
    },
  };
}

/** Breaks the connection after so many bytes were sent. */
export function cutAfter(bytes: number): (connection: Connection) => Connection {
  let left = bytes;
  return (connection) => ({
    peer: connection.peer,
    closed: connection.closed,
    close: (reason) => connection.close(reason),
    [Symbol.asyncIterator]: () => connection[Symbol.asyncIterator](),
    send: async (...parts) => {
      left -= parts.reduce((sum, part) => sum + part.length, 0);
      if (left < 0) await connection.close(new Error('cut'));
      return connection.send(...parts);
    },
  });
}
