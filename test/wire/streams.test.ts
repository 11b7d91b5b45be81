// Byte streams between two sessions: whole, in order, never faster than they are read, with clear
// errors.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FedStreamError } from '../../src/core/errors.js';
import { connectionPair } from '../../src/driver/memory.js';
import { Session } from '../../src/frame/session.js';
import type { IncomingStream } from '../../src/stream/incoming-stream.js';
import { digestOf } from '../../src/stream/leaf-sums.js';
import { type ByteSource, memorySource } from '../../src/stream/source.js';
import { Streams } from '../../src/stream/streams.js';
import { joined, MIB, readAll, same, settled, someBytes, spoilingSource, WIDE, wireBytes } from './joined-streams.js';

test.each([0, 1, 1000, MIB - 1, MIB, MIB + 1, 5 * MIB + 17])('%i bytes arrive as they were', async (size) => {
  const { sender, opened, session } = await joined();
  const bytes = someBytes(size);
  const sending = sender.send({ kind: 'test', n: [1, null] }, memorySource(bytes));
  const stream = await opened();
  expect([stream.meta, stream.totalBytes, stream.digest]).toEqual([{ kind: 'test', n: [1, null] }, size, undefined]);
  same(await readAll(stream, WIDE), bytes);
  expect(stream.wireBytes).toBe(wireBytes(size));
  const sent = await sending;
  expect(sent).toMatchObject({ totalBytes: size, digest: await digestOf(bytes), resumedBytes: 0, retries: 0 });
  expect(sent.wireBytes).toBe(wireBytes(size));
  await session.close();
});

test('pieces of any size, in buffers that are reused', async () => {
  const { sender, opened, session } = await joined();
  const size = fc.oneof(fc.integer({ min: 1, max: 600 }), fc.integer({ min: 30_000, max: 35_000 }), fc.integer({ min: 1, max: 1_300_000 }));
  await fc.assert(
    fc.asyncProperty(fc.array(size, { minLength: 1, maxLength: 6 }), fc.integer({ min: 0, max: 2_000_000 }), async (sizes, total) => {
      const bytes = someBytes(Math.min(total, 3_000 * Math.max(...sizes)), total);
      const [, received] = await Promise.all([sender.send(null, spoilingSource(bytes, sizes)), opened().then((stream) => readAll(stream))]);
      same(received, bytes);
    }),
    { seed: 7, numRuns: 60 },
  );
  await session.close();
});

test('many streams at once, both ways, do not mix', async () => {
  const [near, farEnd] = connectionPair('memory://both');
  const [a, b] = [new Session(near, { name: 'a' }), new Session(farEnd, { name: 'b' })];
  const received = new Map<string, Uint8Array>();
  const take = (at: string) => (stream: IncomingStream) =>
    void readAll(stream).then((bytes) => received.set(`${at}${JSON.stringify(stream.meta)}`, bytes));
  const [fromA, fromB] = [new Streams(a, take('a')), new Streams(b, take('b'))];
  await Promise.all([a.start(), b.start()]);
  const one = (i: number): Uint8Array => someBytes(100_000 + i * 70_001, i);
  await Promise.all(
    Array.from({ length: 20 }, (_, i) => [fromA.send(i, memorySource(one(i))), fromB.send(i, memorySource(one(i + 50)))]).flat(),
  );
  for (let i = 0; i < 20; i++) {
    same(received.get(`b${i}`) as Uint8Array, one(i));
    same(received.get(`a${i}`) as Uint8Array, one(i + 50));
  }
  await a.close();
});

test('a receiver that does not read stops its sender within the window', async () => {
  const { sender, opened, session } = await joined();
  let reached = 0;
  const bytes = someBytes(24 * MIB);
  const sending = sender.send(null, memorySource(bytes), {
    onProgress: (offset) => {
      reached = offset;
    },
  });
  const stream = await opened();
  await settled();
  expect(reached).toBe(0); // nothing before it is accepted
  const reader = stream.read({ windowBytes: 4 * MIB });
  const pieces = [((await reader.next()).value as Uint8Array).slice()];
  await settled();
  expect(reached).toBeLessThanOrEqual(5 * MIB);
  for await (const piece of reader) pieces.push(piece.slice());
  await stream.confirm();
  same(Buffer.concat(pieces), bytes);
  await sending;
  await session.close();
});

test.each([16 * 1024, 64 * 1024, MIB / 2, 2 * MIB, 4 * MIB])(
  'chunks of %i bytes carry the same object, and the same digest',
  async (chunkBytes) => {
    const { sender, opened, session } = await joined();
    const bytes = someBytes(9 * MIB + 70_000);
    let most = 0;
    let before = 0;
    const onProgress = (offset: number): void => {
      most = Math.max(most, offset - before);
      before = offset;
    };
    const sending = sender.send(null, spoilingSource(bytes, [300_000, MIB, 77]), { onProgress });
    const stream = await opened();
    same(await readAll(stream, { chunkBytes }), bytes);
    const sent = await sending;
    expect(sent.digest).toBe(await digestOf(bytes));
    expect(sent.wireBytes).toBe(stream.wireBytes);
    expect(most).toBe(chunkBytes);
    await session.close();
  },
);

test.each([1, 1000, MIB])('a window of %i bytes is made large enough to go on', async (windowBytes) => {
  const { sender, opened, session } = await joined();
  const bytes = someBytes(5 * MIB);
  const sending = sender.send(null, memorySource(bytes));
  same(await readAll(await opened(), { windowBytes }), bytes);
  await sending;
  await session.close();
});

test('a stream counts as delivered only when the receiver confirms it', async () => {
  const { sender, opened, session } = await joined();
  let delivered = false;
  const sending = sender.send(null, memorySource(someBytes(10))).then(() => {
    delivered = true;
  });
  const stream = await opened();
  await expect(stream.confirm()).rejects.toMatchObject({ code: 'internal' });
  for await (const _ of stream.read()) await settled();
  await settled();
  expect(delivered).toBe(false);
  await stream.confirm();
  await sending;
  expect(delivered).toBe(true);
  await session.close();
});

test('a stream that is refused fails with the reason; the next one goes through', async () => {
  const { sender, opened, session } = await joined();
  const refused = expect(sender.send(null, memorySource(someBytes(10)))).rejects.toMatchObject({
    code: 'refused',
    message: 'no such task',
  });
  await (await opened()).reject(new FedStreamError('refused', 'no such task'));
  await refused;
  const late = expect(sender.send(null, memorySource(someBytes(20 * MIB)))).rejects.toMatchObject({
    code: 'io',
    message: 'the disk is full',
  });
  const stream = await opened();
  await stream.read().next();
  await stream.reject(new FedStreamError('io', 'the disk is full'));
  await late;
  const sending = sender.send(null, memorySource(someBytes(10)));
  same(await readAll(await opened()), someBytes(10));
  await sending;
  await session.close();
});

test('a sender that stops tells the receiver', async () => {
  const { sender, opened, session } = await joined();
  const stop = new AbortController();
  const stopped = expect(sender.send(null, memorySource(someBytes(20 * MIB)), { signal: stop.signal })).rejects.toMatchObject({
    code: 'aborted',
  });
  const reader = (await opened()).read();
  await reader.next();
  stop.abort(new FedStreamError('aborted', 'the round is over'));
  await stopped;
  const rest = (async () => {
    for await (const _ of reader);
  })();
  await expect(rest).rejects.toMatchObject({ code: 'aborted', message: 'the round is over' });
  await session.close();
});

test('a source that fails tells the receiver', async () => {
  const { sender, opened, session } = await joined();
  const source: ByteSource = {
    async *read() {
      yield someBytes(100_000);
      throw new FedStreamError('non-finite', 'tensor w has NaN at element 3');
    },
  };
  const failed = expect(sender.send(null, source)).rejects.toMatchObject({ code: 'non-finite' });
  await expect(readAll(await opened())).rejects.toMatchObject({ code: 'non-finite', message: 'tensor w has NaN at element 3' });
  await failed;
  await session.close();
});

test('the end of a session fails its streams on both sides', async () => {
  const { sender, opened, session } = await joined();
  const failed = expect(sender.send(null, memorySource(someBytes(20 * MIB)))).rejects.toMatchObject({ code: 'timeout' });
  const reader = (await opened()).read();
  await reader.next();
  await session.close(new FedStreamError('timeout', 'nothing came'));
  await failed;
  const rest = (async () => {
    for await (const _ of reader);
  })();
  await expect(rest).rejects.toMatchObject({ code: 'timeout' });
});

test('more streams than a session takes are refused one by one', async () => {
  const { sender, opened, session } = await joined();
  const sends = Array.from({ length: 70 }, () =>
    sender.send(null, memorySource(someBytes(10))).then(
      () => 'sent',
      (error: FedStreamError) => error.code,
    ),
  );
  await settled(); // all have asked before the first is accepted
  for (let i = 0; i < 8; i++) await readAll(await opened());
  const ends = await Promise.all(sends);
  expect(ends.filter((end) => end === 'sent').length).toBe(8);
  expect(ends.filter((end) => end === 'limit').length).toBe(62);
  await session.close();
});

test('streams that are accepted count too, and the next is taken once one has ended', async () => {
  const { sender, opened, session } = await joined();
  const send = (): Promise<string> =>
    sender.send(null, memorySource(someBytes(10))).then(
      () => 'sent',
      (error: FedStreamError) => error.code,
    );
  const sends: Promise<string>[] = [];
  const readers: AsyncGenerator<Uint8Array>[] = [];
  const streams: IncomingStream[] = [];
  for (let i = 0; i < 32; i++) {
    sends.push(send());
    const stream = await opened();
    streams.push(stream);
    readers.push(stream.read());
    await readers.at(-1)?.next();
  }
  expect(await send()).toBe('limit');
  for await (const _ of readers[0] as AsyncGenerator<Uint8Array>);
  await streams[0]?.confirm();
  expect(await sends[0]).toBe('sent');
  const next = send();
  await readAll(await opened());
  expect(await next).toBe('sent');
  await session.close();
});

test('control frames arrive among chunks, not after them', async () => {
  const { sender, session, farSession, opened } = await joined();
  let received = 0;
  let receivedAtControl = 0;
  farSession.handle('request', () => {
    receivedAtControl = received;
  });
  const sending = sender.send(null, memorySource(someBytes(40 * MIB)));
  const stream = await opened();
  let sentAtControl = 0;
  for await (const _ of stream.read()) {
    received++;
    if (received !== 10) continue;
    sentAtControl = received;
    await session.control('request', 1);
  }
  await stream.confirm();
  await sending;
  // The connection's queue, and the two chunks in the driver.
  expect(receivedAtControl - sentAtControl).toBeLessThanOrEqual(8);
  expect(received).toBe(40);
  await session.close();
});
