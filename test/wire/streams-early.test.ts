// Streams that begin before they are accepted: at most as much as was allowed, and always whole.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FedStreamError } from '../../src/core/errors.js';
import type { Connection } from '../../src/driver/driver.js';
import { decodeFrame, type FrameType } from '../../src/frame/frame.js';
import { digestOf } from '../../src/stream/leaf-sums.js';
import { memorySource } from '../../src/stream/source.js';
import { joined, KIB, MIB, readAll, same, settled, someBytes, sumsOf, WIDE } from './joined-streams.js';

/** Records the types of the frames that a sender sends, in order. */
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

/**
 * The initial values of a path: its measured rate could make the window as wide as the whole
 * object.
 */
const NARROW = { windowBytes: MIB / 2, chunkBytes: 32 * KIB };

test('a later stream of a session begins before it is accepted, with the credit of the one before', async () => {
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
    same(await readAll(stream, NARROW), bytes);
    expect(await sending).toMatchObject({ totalBytes: MIB, retries: 0, resumedBytes: 0 });
  }
  // A small object comes early as a whole, with its end.
  seen.length = 0;
  const sending = sender.send(null, memorySource(bytes.subarray(0, 70_000)));
  const stream = await opened();
  await settled();
  expect(seen.filter((type) => type !== 'ping' && type !== 'pong')).toEqual(['open', 'data', 'data', 'data', 'end']);
  same(await readAll(stream, NARROW), bytes.subarray(0, 70_000));
  await sending;
  await session.close();
});

test('however much comes early, and wherever the receiver resumes, the object arrives whole', async () => {
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
        // A further stream works as well.
        const last = sender.send(null, source);
        same(await readAll(await opened(), later), bytes);
        await last;
        await session.close();
      },
    ),
    { seed: 21, numRuns: 150 },
  );
});

test('a leaf that is damaged before the stream is accepted is sent again', async () => {
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

test('a stream that began early can be refused, and the next one is accepted', async () => {
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
