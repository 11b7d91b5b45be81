// Byte streams on a bad wire: damaged leaves are sent again, and broken transfers resume.
import { expect, test } from 'vitest';
import type { FedStreamError } from '../../src/core/errors.js';
import type { Connection } from '../../src/driver/driver.js';
import { digestOf } from '../../src/stream/leaf-sums.js';
import { type ByteSource, memorySource } from '../../src/stream/source.js';
import { joined, MIB, readAll, same, someBytes, spoilingSource, sumsOf, WIDE, wireBytes } from './joined-streams.js';

/** Flips a bit in the payload of some chunks, chosen by the seed. */
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

test('damaged leaves are asked for again, and counted', async () => {
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

test('a transfer resumes from the receiver’s leaves, and is verified as a whole', async () => {
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

test('a source that gives other bytes than before is detected at the leaf that differs', async () => {
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
