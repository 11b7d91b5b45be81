// Byte streams between two sessions: whole, in order, never faster than they are read, and clear when they fail.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FedStreamError } from '../core/errors.js';
import type { Connection } from '../driver/driver.js';
import { connectionPair } from '../driver/memory.js';
import { decodeFrame, type FrameType } from '../frame/frame.js';
import { Session } from '../frame/session.js';
import type { AcceptOptions, IncomingStream } from './incoming-stream.js';
import { digestOf, LeafHasher, type LeafSums } from './leaf-sums.js';
import { type ByteSource, memorySource } from './source.js';
import { Streams } from './streams.js';

const KIB = 1024;
const MIB = 1024 * KIB;

function someBytes(length: number, seed = 1): Uint8Array {
  let state = seed;
  return new Uint8Array(length).map(() => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

async function sumsOf(bytes: Uint8Array): Promise<LeafSums> {
  const hasher = new LeafHasher();
  hasher.update(bytes);
  return hasher.finish();
}

interface Joined {
  readonly sender: Streams;
  readonly session: Session;
  readonly farSession: Session;
  readonly far: Streams;
  /** The streams that the far side was opened, in order. */
  opened(): Promise<IncomingStream>;
}

/** Two sessions; `wire` may tamper with what the sender sends. */
async function joined(wire: (connection: Connection) => Connection = (connection) => connection): Promise<Joined> {
  const [near, farEnd] = connectionPair('memory://streams');
  const session = new Session(wire(near), { name: 'sender' });
  const farSession = new Session(farEnd, { name: 'receiver' });
  const ready: IncomingStream[] = [];
  const waiting: ((stream: IncomingStream) => void)[] = [];
  const sender = new Streams(session, (stream) => void stream.reject(new FedStreamError('refused', 'not here')));
  const far = new Streams(farSession, (stream) => {
    const wake = waiting.shift();
    if (wake) wake(stream);
    else ready.push(stream);
  });
  await Promise.all([session.start(), farSession.start()]);
  const opened = (): Promise<IncomingStream> => {
    const stream = ready.shift();
    return stream ? Promise.resolve(stream) : new Promise((resolve) => waiting.push(resolve));
  };
  return { sender, session, farSession, far, opened };
}

async function readAll(stream: IncomingStream, options?: AcceptOptions): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  try {
    for await (const bytes of stream.read(options)) pieces.push(bytes.slice());
  } catch (error) {
    await stream.reject(error as FedStreamError);
    throw error;
  }
  await stream.confirm();
  return Buffer.concat(pieces);
}

/** Pieces of the given sizes in turn, from one buffer that is spoilt as soon as the next but one is asked for. */
function spoilingSource(bytes: Uint8Array, sizes: readonly number[]): ByteSource {
  return {
    async *read(offset) {
      const buffers = [0, 1].map(() => new Uint8Array(Math.max(...sizes)));
      for (let at = offset, i = 0; at < bytes.length; i++) {
        const buffer = buffers[i % 2] as Uint8Array;
        buffer.fill(0xee);
        const piece = bytes.subarray(at, at + (sizes[i % sizes.length] as number));
        buffer.set(piece);
        yield buffer.subarray(0, piece.length);
        at += piece.length;
      }
      for (const buffer of buffers) buffer.fill(0xee);
    },
  };
}

const wireBytes = (payload: number): number => payload + Math.ceil(payload / MIB) * 44;
/** So that each frame carries a leaf. */
const WIDE = { windowBytes: 8 * MIB, chunkBytes: MIB };
const same = (a: Uint8Array, b: Uint8Array): void => expect(Buffer.compare(a, b)).toBe(0);
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

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

test('pieces of any size, in buffers that are used again', async () => {
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

test('served is not delivered: the sender hears of it when the receiver confirms', async () => {
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

/** Flips a bit in the payload of some chunks, as the seed has it. */
function badWire(seed: number, oneIn: number): (connection: Connection) => Connection {
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  return (connection) => ({
    peer: connection.peer,
    closed: connection.closed,
    close: (reason) => connection.close(reason),
    [Symbol.asyncIterator]: () => connection[Symbol.asyncIterator](),
    send: (...parts) => {
      const bytes = Uint8Array.from(Buffer.concat(parts));
      if (bytes[4] !== 9 || random(oneIn) > 0) return connection.send(bytes);
      const at = 40 + random(bytes.length - 40);
      bytes[at] = (bytes[at] as number) ^ (1 << random(8));
      return connection.send(bytes);
    },
  });
}

test('what is damaged on the way is asked for again, and counted', async () => {
  let retries = 0;
  for (let seed = 1; seed <= 25; seed++) {
    const { sender, opened, session } = await joined(badWire(seed, 4));
    const bytes = someBytes(1_500_000 + seed, seed);
    const sizes = [MIB, 300, 70_000, 33_000, 5];
    const source =
      seed % 2 === 0
        ? spoilingSource(bytes, sizes)
        : { ...spoilingSource(bytes, sizes), totalBytes: bytes.length, digest: await digestOf(bytes) };
    const sending = sender.send(null, source);
    const stream = await opened();
    same(await readAll(stream), bytes);
    expect((await sending).retries).toBe(stream.retries);
    expect((await sending).digest).toBe(await digestOf(bytes));
    retries += stream.retries;
    await session.close();
  }
  expect(retries).toBeGreaterThan(25);
});

test('a link that damages everything is given up', async () => {
  const { sender, opened, session } = await joined(badWire(3, 1));
  const sending = sender.send(null, memorySource(someBytes(1000))).catch((error: FedStreamError) => error.code);
  await expect(readAll(await opened())).rejects.toMatchObject({ code: 'checksum', message: expect.stringContaining('check the link') });
  expect(await sending).toBe('checksum');
  await session.close();
});

test.each([
  ['a wrong digest', { digest: '0'.repeat(32) }],
  ['too few bytes', { totalBytes: 1001 }],
  ['too many bytes', { totalBytes: 999 }],
])('%s fails on both sides, and nothing is confirmed', async (_, lie) => {
  const { sender, opened, session } = await joined();
  const failed = expect(sender.send(null, { ...memorySource(someBytes(1000)), ...lie })).rejects.toMatchObject({ code: 'digest' });
  await expect(readAll(await opened())).rejects.toMatchObject({ code: 'digest' });
  await failed;
  await session.close();
});

test('a transfer goes on from what the receiver has, and is verified as a whole', async () => {
  const bytes = someBytes(3 * MIB + 5);
  const digest = await digestOf(bytes);
  const known = { ...memorySource(bytes), digest };
  const named = { read: known.read, id: 'what is told apart by its name alone' };
  const sources: ByteSource[] = [known, named, { ...named, totalBytes: bytes.length, sums: await sumsOf(bytes) }];
  for (const source of sources) {
    for (const offset of [0, MIB, 3 * MIB, bytes.length]) {
      if (offset === bytes.length && source.totalBytes === undefined) continue;
      const { sender, opened, session } = await joined();
      const sending = sender.send(null, source);
      const stream = await opened();
      expect(stream.objectId).toBe(source.id ?? digest);
      const rest = await readAll(stream, { ...WIDE, resume: { offset, sums: await sumsOf(bytes.subarray(0, offset)) } });
      same(rest, bytes.subarray(offset));
      expect(await sending).toMatchObject({ resumedBytes: offset, totalBytes: bytes.length, digest, wireBytes: wireBytes(rest.length) });
      await session.close();
    }
  }
  const { sender, opened, session } = await joined();
  const spoilt = expect(sender.send(null, known)).rejects.toMatchObject({ code: 'digest' });
  const other = { offset: MIB, sums: await sumsOf(new Uint8Array(MIB)) };
  await expect(readAll(await opened(), { resume: other })).rejects.toMatchObject({ code: 'digest' });
  await spoilt;
  await session.close();
});

test('a source that gives other bytes than before is found out where it does', async () => {
  const { sender, opened, session } = await joined();
  const bytes = someBytes(3 * MIB);
  const sums = await sumsOf(bytes);
  const changed = Uint8Array.from(bytes);
  changed[2 * MIB + 7] = (changed[2 * MIB + 7] as number) ^ 1;
  const failed = expect(sender.send(null, { ...memorySource(changed), digest: await sums.digest(), sums })).rejects.toMatchObject({
    code: 'digest',
    message: expect.stringContaining(`byte ${2 * MIB}`),
  });
  await expect(readAll(await opened())).rejects.toMatchObject({ code: 'digest' });
  await failed;
  await session.close();
});

test('more streams than a session takes are refused one by one', async () => {
  const { sender, opened, session } = await joined();
  const sends = Array.from({ length: 70 }, () =>
    sender.send(null, memorySource(someBytes(10))).then(
      () => 'sent',
      (error: FedStreamError) => error.code,
    ),
  );
  for (let i = 0; i < 64; i++) await readAll(await opened());
  const ends = await Promise.all(sends);
  expect(ends.filter((end) => end === 'sent').length).toBe(64);
  expect(ends.filter((end) => end === 'limit').length).toBe(6);
  await session.close();
});

test('control arrives among chunks, not behind them', async () => {
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
  // The connection's queue, and the two chunks that the driver had.
  expect(receivedAtControl - sentAtControl).toBeLessThanOrEqual(8);
  expect(received).toBe(40);
  await session.close();
});

/** The types of the frames of a sender in their order, and what it may do with them. */
function watched(seen: FrameType[]): (connection: Connection) => Connection {
  return (connection) => ({
    peer: connection.peer,
    closed: connection.closed,
    close: (reason) => connection.close(reason),
    [Symbol.asyncIterator]: () => connection[Symbol.asyncIterator](),
    send(...parts) {
      seen.push(decodeFrame(Buffer.concat(parts), () => {}).type);
      return connection.send(...parts);
    },
  });
}

test('a later stream of a session begins before it is accepted, with what the one before would have been granted', async () => {
  const seen: FrameType[] = [];
  const { sender, opened, session } = await joined(watched(seen));
  const bytes = someBytes(MIB);
  for (const early of [false, true, true]) {
    seen.length = 0;
    const sending = sender.send(null, memorySource(bytes));
    const stream = await opened();
    await settled();
    const came = seen.filter((type) => type === 'data').length;
    if (early) expect(came).toBeGreaterThan(2);
    else expect(came).toBe(0);
    expect(seen).not.toContain('end'); // it is more than may come early
    same(await readAll(stream), bytes);
    expect(await sending).toMatchObject({ totalBytes: MIB, retries: 0, resumedBytes: 0 });
  }
  // All of a small one, its end too.
  seen.length = 0;
  const sending = sender.send(null, memorySource(bytes.subarray(0, 70_000)));
  const stream = await opened();
  await settled();
  expect(seen.filter((type) => type !== 'ping' && type !== 'pong')).toEqual(['open', 'data', 'data', 'data', 'end']);
  same(await readAll(stream), bytes.subarray(0, 70_000));
  await sending;
  await session.close();
});

test('whatever comes early, and wherever the receiver goes on, what arrives is whole', async () => {
  const whole = someBytes(5 * MIB + 999);
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(1, 40_000, MIB - 1, MIB, 2 * MIB, 3 * MIB + 5, 5 * MIB + 999),
      fc.constantFrom(16 * KIB, 256 * KIB, MIB, 4 * MIB),
      fc.constantFrom(1, 4, 8).map((mib) => mib * MIB),
      fc.constantFrom(undefined, 16 * KIB, 512 * KIB, 2 * MIB),
      fc.nat(6),
      fc.constantFrom(0, 1, 30),
      fc.boolean(),
      async (size, chunkBytes, windowBytes, laterChunkBytes, leaves, waitMs, knows) => {
        const { sender, opened, session } = await joined();
        const bytes = whole.subarray(0, size);
        const source = { ...memorySource(bytes), id: 'these bytes', ...(knows ? { sums: await sumsOf(bytes) } : {}) };
        const first = sender.send(null, source);
        await readAll(await opened(), { chunkBytes, windowBytes });
        await first;
        const offset = Math.min(leaves * MIB, size);
        const sending = sender.send(null, source);
        const stream = await opened();
        if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
        const later = { windowBytes, ...(laterChunkBytes ? { chunkBytes: laterChunkBytes } : {}) };
        same(
          await readAll(stream, { ...later, resume: { offset, sums: await sumsOf(bytes.subarray(0, offset)) } }),
          bytes.subarray(offset),
        );
        expect(await sending).toMatchObject({ resumedBytes: offset, totalBytes: size, retries: 0, digest: await digestOf(bytes) });
        // And a stream after it.
        const last = sender.send(null, source);
        same(await readAll(await opened(), later), bytes);
        await last;
        await session.close();
      },
    ),
    { seed: 21, numRuns: 150 },
  );
});

test('a leaf that is damaged while it comes early is sent again', async () => {
  const bytes = someBytes(3 * MIB + 7);
  let damage = 0;
  const { sender, opened, session } = await joined((connection) => ({
    peer: connection.peer,
    closed: connection.closed,
    close: (reason) => connection.close(reason),
    [Symbol.asyncIterator]: () => connection[Symbol.asyncIterator](),
    send(...parts) {
      const frame = Buffer.concat(parts);
      if (damage > 0 && decodeFrame(frame, () => {}).type === 'data' && damage-- > 0)
        frame[frame.length - 1] = (frame.at(-1) as number) ^ 1;
      return connection.send(frame);
    },
  }));
  const first = sender.send(null, memorySource(bytes));
  await readAll(await opened(), WIDE);
  await first;
  damage = 2;
  const sending = sender.send(null, memorySource(bytes));
  const stream = await opened();
  await settled();
  same(await readAll(stream, WIDE), bytes);
  expect((await sending).retries).toBeGreaterThan(0);
  await session.close();
});

test('a stream that came early can be refused, and the next one is taken', async () => {
  const { sender, opened, session } = await joined();
  const bytes = someBytes(2 * MIB);
  const first = sender.send(null, memorySource(bytes));
  await readAll(await opened(), WIDE);
  await first;
  const refused = expect(sender.send(null, memorySource(bytes))).rejects.toMatchObject({ code: 'refused' });
  const stream = await opened();
  await settled();
  await stream.reject(new FedStreamError('refused', 'not this one'));
  await refused;
  const sending = sender.send(null, memorySource(bytes));
  same(await readAll(await opened(), WIDE), bytes);
  await sending;
  await session.close();
});
