// Windows that shrink while chunks of the wider ones wait: the sender can always use its credit.
import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { connectionPair } from '../driver/memory.js';
import { pack, unpack } from '../frame/pack.js';
import { Session } from '../frame/session.js';
import { IncomingStream } from './incoming-stream.js';
import { LEAF_BYTES } from './leaf-sums.js';
import { MIN_WINDOW_BYTES, Path } from './path.js';
import { memorySource } from './source.js';
import { openSchema } from './stream-frames.js';
import { Streams } from './streams.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

afterEach(() => void vi.restoreAllMocks());

interface Credit {
  readonly limit: number;
  readonly chunk: number;
}

/**
 * A sender of `bytes` bytes, accepted by hand; `grant` gives it credit and waits until it stands
 * still, `came` lists the payloads that arrived.
 */
async function accepted(
  bytes: number,
  first: Credit,
): Promise<{ came: number[]; grant(credit: Credit): Promise<void>; end(): Promise<void> }> {
  const [near, farEnd] = connectionPair('memory://accepted');
  const session = new Session(near, { name: 'sender' });
  const raw = new Session(farEnd, { name: 'receiver' });
  const streams = new Streams(session, () => {});
  const came: number[] = [];
  raw.handle('open', ({ stream }) => void raw.control('accept', stream, pack({ offset: 0, ...first })));
  raw.handle('data', ({ payload }) => void came.push(payload.length));
  for (const type of ['end', 'reset'] as const) raw.handle(type, () => {});
  await Promise.all([session.start(), raw.start()]);
  const sending = streams.send(null, memorySource(new Uint8Array(bytes)));
  await settled();
  return {
    came,
    async grant(credit) {
      await raw.control('credit', 1, pack(credit));
      await settled();
    },
    async end() {
      await raw.close();
      await expect(sending).rejects.toMatchObject({ code: 'closed' });
    },
  };
}

test('a sender that waits with a chunk goes on in smaller ones as soon as it is told', async () => {
  const { came, grant, end } = await accepted(3 * MIB, { limit: 1.5 * MIB, chunk: MIB });
  expect(came).toEqual([MIB]);
  await grant({ limit: 1.5 * MIB, chunk: 128 * KIB });
  expect(came).toEqual([MIB, ...Array(4).fill(128 * KIB)]);
  // Chunks may become larger again in the middle of a leaf.
  await grant({ limit: 3 * MIB, chunk: MIB });
  expect(came.slice(5)).toEqual([MIB / 2, MIB]);
  await end();
});

test('a sender that gathers several leaves for a chunk sends fewer where fewer are wanted', async () => {
  const { came, grant, end } = await accepted(9 * MIB, { limit: 6.5 * MIB, chunk: 4 * MIB });
  expect(came).toEqual([4 * MIB]);
  await grant({ limit: 6.5 * MIB, chunk: 2 * MIB });
  await grant({ limit: 6.5 * MIB, chunk: 512 * KIB });
  expect(came).toEqual([4 * MIB, 2 * MIB, 0.5 * MIB]);
  await end();
});

/**
 * Sends streams one after another in one session, over a path that the test makes wide and narrow,
 * before each stream and with each leaf taken.
 */
async function sendOver(widths: readonly number[], sizes: readonly number[]): Promise<void> {
  vi.spyOn(performance, 'now').mockReturnValue(0); // no time passes, so nothing else changes the path
  const [near, farEnd] = connectionPair('memory://narrowing');
  const [session, far] = [new Session(near, { name: 'sender' }), new Session(farEnd, { name: 'receiver' })];
  const streams = new Streams(session, () => {});
  const path = new Path();
  let turn = 0;
  const narrowOrWiden = (): void => {
    path.resize(widths[turn++ % widths.length] as number);
    path.chunkBytes = LEAF_BYTES;
  };
  const incoming = new Map<number, IncomingStream>();
  const received: number[] = [];
  far.handle('open', ({ stream: id, header }) => {
    const opened = unpack(header, openSchema, 'open');
    const stream = new IncomingStream(far, id, opened, path, () => incoming.delete(id));
    incoming.set(id, stream);
    path.usesEarly(opened.early ?? 0);
    void (async () => {
      narrowOrWiden();
      let bytes = 0;
      for await (const piece of stream.read()) {
        bytes += piece.length;
        narrowOrWiden();
      }
      received.push(bytes);
      await stream.confirm();
    })();
  });
  for (const type of ['data', 'end'] as const) far.handle(type, (frame) => incoming.get(frame.stream)?.receive(frame));
  await Promise.all([session.start(), far.start()]);
  const object = new Uint8Array(Math.max(...sizes));
  for (const size of sizes) await streams.send(null, memorySource(object.subarray(0, size)));
  expect(received).toEqual(sizes);
  await session.close();
}

test('a receiver whose window becomes small says so where it can grant nothing, and the stream ends', async () => {
  const narrow = Array<number>(20).fill(MIN_WINDOW_BYTES);
  await sendOver([4.5 * MIB, ...narrow], [9 * MIB]);
  // Chunks went out early, as a wide window allowed, and a narrow one accepted them.
  await sendOver([...Array<number>(10).fill(4.5 * MIB), ...narrow], [9 * MIB, 9 * MIB]);
});

test('streams end however wide and narrow their windows become, and whatever came early', async () => {
  const width = fc.oneof(fc.constant(MIN_WINDOW_BYTES), fc.integer({ min: MIN_WINDOW_BYTES, max: 9 * MIB }));
  const property = fc.asyncProperty(
    fc.array(width, { minLength: 1, maxLength: 12 }),
    fc.array(fc.integer({ min: 1, max: 12 * MIB }), { minLength: 1, maxLength: 4 }),
    sendOver,
  );
  await fc.assert(property, { seed: 5, numRuns: 60 });
});
