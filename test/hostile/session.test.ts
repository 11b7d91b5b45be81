// The budgets of a session and of a connection that has none yet, each reached by a peer in this
// process.
import { connect } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { BUDGETS } from '../../src/core/budgets.js';
import { FedStreamError } from '../../src/core/errors.js';
import type { Connection } from '../../src/driver/driver.js';
import { FrameSplitter } from '../../src/driver/frame-splitter.js';
import { connectionPair } from '../../src/driver/memory.js';
import { StripeGroups } from '../../src/driver/stripe-groups.js';
import { encodeJoin } from '../../src/driver/stripe-join.js';
import { type RetrievedKind, Retriever, type SendWatch } from '../../src/exchange/retriever.js';
import { encodeFrame } from '../../src/frame/frame.js';
import { pack } from '../../src/frame/pack.js';
import { Session } from '../../src/frame/session.js';
import { Messages } from '../../src/message/messages.js';
import { http } from '../../src/node/drivers/http.js';
import { TaskBoard } from '../../src/server/task-board.js';
import { LEAF_BYTES } from '../../src/stream/leaf-sums.js';
import { Path } from '../../src/stream/path.js';
import { memorySource } from '../../src/stream/source.js';
import { Streams } from '../../src/stream/streams.js';

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

/** Rejections that nobody caught; each would end a server. */
const uncaught: unknown[] = [];
const note = (reason: unknown): void => void uncaught.push(reason);
process.on('unhandledRejection', note);
afterEach(async () => {
  await settled();
  expect(uncaught.splice(0)).toEqual([]);
});

async function sessions(prepare: (near: Session, far: Session) => void = () => {}): Promise<{ near: Session; far: Session }> {
  const [a, b] = connectionPair('memory://budgets');
  const [near, far] = [new Session(a, { name: 'mallory' }), new Session(b, { name: 'server' })];
  prepare(near, far);
  await Promise.all([near.start(), far.start()]);
  return { near, far };
}

test('bodies of requests that wait are bounded, and let go with their session (budget openRequestBytes)', async () => {
  const aborted: unknown[] = [];
  let messages: Messages | undefined;
  const { near } = await sessions((mallory, server) => {
    messages = new Messages(mallory);
    new Messages(server, {
      wait: (body, signal) =>
        new Promise((_, reject) =>
          signal.addEventListener('abort', () => {
            aborted.push([body.length, body.buffer.byteLength]);
            reject(signal.reason);
          }),
        ),
    });
  });
  const body = 'x'.repeat(900_000);
  const codes: string[] = [];
  const asked = Array.from({ length: 8 }, () =>
    (messages as Messages).request('wait', body, z.unknown()).catch(({ code }: FedStreamError) => void codes.push(code)),
  );
  await settled();
  expect(codes).toEqual(['limit', 'limit', 'limit']);
  await near.close();
  await Promise.all(asked);
  // Each is a copy of its own: it keeps no frame.
  expect(aborted).toEqual(Array.from({ length: 5 }, () => [900_005, 900_005]));
});

test('what waits for a task ends with its session', async () => {
  const board = new TaskBoard(['mallory']);
  const stop = new AbortController();
  const waiting = [board.next('mallory', stop.signal), board.posted('mallory', stop.signal)];
  const ended = new FedStreamError('closed', 'gone');
  stop.abort(ended);
  for (const one of waiting) await expect(one).rejects.toBe(ended);
  await expect(board.next('mallory', stop.signal)).rejects.toBe(ended);
});

test('a peer that never takes its objects is given up, and the next one is sent (budget sendSilenceMs)', async () => {
  expect(BUDGETS.sendSilenceMs.limit).toBe(1_800_000);
  const sent: string[] = [];
  const broke: string[] = [];
  const offers = {
    fileSource: async () => memorySource(new Uint8Array(10)),
    modelSource: async () => memorySource(new Uint8Array(10)),
    watch: (_: RetrievedKind, name: string): SendWatch => {
      sent.push(name);
      return { broke: (error) => void broke.push((error as FedStreamError).code) };
    },
  };
  let messages: Messages | undefined;
  const { near } = await sessions((mallory, server) => {
    messages = new Messages(mallory);
    for (const type of ['open', 'reset'] as const) mallory.handle(type, () => {});
    new Retriever(server, { codecs: referenceCodecs, offers, openSends: 2, sendSilenceMs: 100 });
  });
  const ask = (name: string): Promise<unknown> =>
    (messages as Messages).request('retrieve', { kind: 'file', name, ask: 0 }, z.unknown()).catch(() => {});
  const asks = ['a', 'b', 'c'].map(ask);
  await settled();
  expect(sent).toEqual(['a', 'b']);
  await vi.waitFor(() => expect(sent).toEqual(['a', 'b', 'c']), 5_000);
  expect(broke.slice(0, 2)).toEqual(['timeout', 'timeout']);
  await Promise.all(asks);
  await near.close();
});

test('a fault of whoever watches a transfer ends its session, not the process', async () => {
  const offers = {
    fileSource: async () => memorySource(new Uint8Array(10)),
    modelSource: async () => memorySource(new Uint8Array(10)),
    watch: (): SendWatch => ({
      sent: () => {
        throw new Error('figures of a round that is over');
      },
    }),
  };
  const { near, far } = await sessions((mallory, server) => {
    const messages = new Messages(mallory);
    new Streams(mallory, async (stream) => {
      for await (const _ of stream.read());
      await stream.confirm();
    });
    new Retriever(server, { codecs: referenceCodecs, offers });
    void mallory.closed;
    setTimeout(() => void messages.request('retrieve', { kind: 'file', name: 'x', ask: 0 }, z.unknown()).catch(() => {}), 5);
  });
  expect(await far.closed).toMatchObject({ code: 'internal', message: 'figures of a round that is over' });
  expect((await near.closed).code).toBe('internal');
});

test('a session ends once, whatever fails while it ends', async () => {
  const [a, raw] = connectionPair('memory://failing');
  const connection: Connection = {
    peer: 'failing',
    closed: a.closed,
    send: (...parts) => a.send(...parts),
    close: () => Promise.reject(new Error('cannot even close')),
    [Symbol.asyncIterator]: () => a[Symbol.asyncIterator](),
  };
  const session = new Session(connection, { name: 'server' });
  session.handle('request', (async () => {
    throw new FedStreamError('io', 'later');
  }) as () => void);
  void raw.send(...encodeFrame('hello', 0, pack({ version: 1, name: 'mallory', idleMs: 1000 })));
  void raw.send(...encodeFrame('request', 1, pack({ name: 'x' })));
  await session.start();
  expect(await session.closed).toMatchObject({ code: 'io', message: 'later' });
  await session.close();
});

test('streams that are open are bounded (budget incomingStreams)', async () => {
  const refusals: number[] = [];
  const { near } = await sessions((mallory, server) => {
    for (const type of ['accept', 'credit'] as const) mallory.handle(type, () => {});
    mallory.handle('refuse', ({ stream }) => refusals.push(stream));
    new Streams(
      server,
      (stream) =>
        void stream
          .read()
          .next()
          .catch(() => {}),
    );
  });
  for (let stream = 1; stream <= 40; stream++) await near.control('open', stream, pack({ meta: null }));
  await settled();
  expect(refusals).toEqual(Array.from({ length: 8 }, (_, i) => 33 + i));
  await near.close();
});

test('streams that nobody accepts are bounded (budget unacceptedStreams)', async () => {
  const refusals: number[] = [];
  const { near } = await sessions((mallory, server) => {
    mallory.handle('refuse', ({ stream }) => refusals.push(stream));
    new Streams(server, () => {});
  });
  for (let stream = 1; stream <= 10; stream++) await near.control('open', stream, pack({ meta: null }));
  await settled();
  expect(refusals).toEqual([9, 10]);
  await near.close();
});

test('the streams of a session share one window at most (budget windowBytes)', () => {
  const path = new Path();
  path.resize(1e12);
  expect(path.windowBytes).toBe(48 * 2 ** 20);
  const shares = [1, 2, 4, 32].map((streams) => {
    path.streams = streams;
    return path.mostBytes * streams;
  });
  expect(shares).toEqual([1, 2, 4, 32].map(() => 48 * 2 ** 20));
});

test('early bytes are few, and those that were not allowed end the session (budget earlyBytes)', async () => {
  const path = new Path();
  expect(path.allowEarly(48 * 2 ** 20)).toBe(8 * 2 ** 20);
  expect(path.usesEarly(8 * 2 ** 20 + 1)).toBe(false);
  const { near, far } = await sessions((_, server) => void new Streams(server, () => {}));
  await near.control('open', 1, pack({ meta: null, totalBytes: 9, early: 9 }));
  expect(await far.closed).toMatchObject({ code: 'bad-frame', message: expect.stringContaining('9 bytes that it was not allowed') });
});

test('a peer that asks for the same leaf again and again is given up (budget streamRetries)', async () => {
  let streams: Streams | undefined;
  const { near, far } = await sessions((mallory, server) => {
    for (const type of ['open', 'data', 'end', 'reset'] as const) mallory.handle(type, () => {});
    streams = new Streams(server, () => {});
  });
  const sending = (streams as Streams).send(null, memorySource(new Uint8Array(LEAF_BYTES + 1)));
  sending.catch(() => {});
  await near.control('accept', 1, pack({ offset: 0, limit: 2 * LEAF_BYTES, chunk: LEAF_BYTES }));
  await settled();
  for (let i = 0; i < 1001; i++) await near.control('retry', 1, pack({ offset: 0 }));
  await expect(sending).rejects.toMatchObject({ code: 'checksum', message: expect.stringContaining('more than 1000 leaves') });
  expect((await far.closed).code).toBe('checksum');
});

test('bytes behind the one frame that is read are few (budget heldBytes)', () => {
  const splitter = new FrameSplitter(4 * 2 ** 20);
  splitter.readOne(100);
  expect(splitter.push(Uint8Array.of(2, 0, 0, 0, 7, 7, 1, 0, 0, 0, 9))).toEqual([Uint8Array.of(7, 7)]);
  expect(splitter.holds).toBe(true);
  splitter.push(new Uint8Array(100_000));
  expect(() => splitter.push(new Uint8Array(60_000))).toThrow(expect.objectContaining({ code: 'limit' }));
});

/** Connections that have come to a listener for stripes, with the ends of their peers. */
async function stripes(count: number, peer: (index: number) => string, first: (index: number) => Uint8Array | undefined) {
  const accepted: Connection[] = [];
  const refused: string[] = [];
  const groups = new StripeGroups((connection) => void accepted.push(connection), {
    onRefused: (_, { message }) => void refused.push(message),
  });
  const ends: Connection[] = [];
  for (let index = 0; index < count; index++) {
    const [near, far] = connectionPair('memory://stripes');
    Object.defineProperty(near, 'peer', { value: peer(index) });
    groups.add(near);
    const frame = first(index);
    if (frame) void far.send(frame);
    ends.push(far);
    if (frame && index % 500 === 0) await settled(); // those before are sorted by then
  }
  const close = async (): Promise<void> => {
    groups.close();
    await Promise.all([...ends, ...accepted].map((connection) => connection.close()));
  };
  return { accepted, refused, close };
}

const groupOf = (index: number): Uint8Array => {
  const group = new Uint8Array(16);
  new DataView(group.buffer).setUint32(0, index);
  return encodeJoin({ group, index: 0, count: 2 });
};

test('connections whose first frame has not come are bounded (budget unsortedConnections)', async () => {
  const { accepted, close } = await stripes(
    1027,
    () => '10.0.0.1:5',
    () => undefined,
  );
  expect(accepted.length).toBe(3);
  await close();
});

test('groups that are not complete are bounded (budget stripeGroups)', async () => {
  const { refused, close } = await stripes(1027, (index) => `10.0.${index % 7}.1:${index}`, groupOf);
  await settled();
  expect(refused).toEqual(Array.from({ length: 3 }, () => 'more than 1024 striped connections are incomplete'));
  await close();
});

test('those of one address are too, at the cost of that address (budget stripeGroupsOfAddress)', async () => {
  const { refused, close } = await stripes(300, (index) => `10.0.0.${index < 258 ? 1 : 2}:${index}`, groupOf);
  await settled();
  expect(refused).toEqual(Array.from({ length: 2 }, () => 'more than 256 striped connections of 10.0.0.1 are incomplete'));
  await close();
});

test('requests that come before their turn are bounded (budget httpRequestsAhead)', async () => {
  let accept: (connection: Connection) => void = () => {};
  const accepted = new Promise<Connection>((resolve) => {
    accept = resolve;
  });
  const listener = await http().listen?.('http://127.0.0.1:0', (connection) => accept(connection));
  const url = new URL(listener?.url as string);
  const id = await (await fetch(`${url.origin}/fedstream/1`, { method: 'POST' })).text();
  const sockets = [`GET /fedstream/1/${id}`, ...Array.from({ length: 17 }, (_, i) => `POST /fedstream/1/${id}/${i + 3}`)].map((line, i) => {
    const socket = connect(Number(url.port), '127.0.0.1');
    socket.on('error', () => {});
    setTimeout(
      () => socket.write(`${line} HTTP/1.1\r\nhost: ${url.host}\r\n${i > 0 ? 'content-length: 1000\r\n' : ''}\r\n`),
      i > 0 ? 200 : 0,
    );
    return socket;
  });
  const ended = (await (await accepted).closed) as FedStreamError;
  expect(ended).toMatchObject({ code: 'bad-frame', message: expect.stringContaining('where 0 was expected') });
  for (const socket of sockets) socket.destroy();
  await listener?.close();
});
