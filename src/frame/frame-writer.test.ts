// The order in which frames go out, on a connection that flushes on command.
import { expect, test } from 'vitest';
import type { Connection } from '../driver/driver.js';
import { FrameWriter } from './frame-writer.js';

/** Records the first byte of everything that is sent; `flush` lets the oldest send resolve. */
function slowConnection(): { connection: Connection; sent: number[]; flush(): Promise<void> } {
  const sent: number[] = [];
  const waiting: (() => void)[] = [];
  const connection: Connection = {
    peer: 'slow',
    closed: new Promise(() => {}),
    send: (part) => {
      sent.push(part?.[0] ?? -1);
      return new Promise((resolve) => waiting.push(resolve));
    },
    close: async () => {},
    [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }),
  };
  const flush = async (): Promise<void> => {
    waiting.shift()?.();
    await new Promise((resolve) => setTimeout(resolve));
  };
  return { connection, sent, flush };
}

const frame = (id: number): Uint8Array[] => [Uint8Array.of(id)];
const unstuck = (): void => {
  throw new Error('not stuck');
};

test('control overtakes all bulk but the two frames that the driver has', async () => {
  const { connection, sent, flush } = slowConnection();
  const writer = new FrameWriter(connection, unstuck);
  const bulk = Array.from({ length: 10 }, (_, i) => writer.bulk(frame(i)));
  expect(sent).toEqual([0, 1]);
  void writer.control(frame(100));
  void writer.control(frame(101));
  expect(sent).toEqual([0, 1, 100, 101]);
  while (sent.length < 12) await flush();
  expect(sent).toEqual([0, 1, 100, 101, 2, 3, 4, 5, 6, 7, 8, 9]);
  for (let i = 0; i < 12; i++) await flush();
  await Promise.all(bulk);
});

test('streams take turns', async () => {
  const { connection, sent, flush } = slowConnection();
  const writer = new FrameWriter(connection, unstuck);
  const stream = async (id: number): Promise<void> => {
    for (let i = 0; i < 5; i++) await writer.bulk(frame(id));
  };
  const streams = Promise.all([stream(1), stream(2), stream(3)]);
  for (let i = 0; i < 40; i++) await flush();
  await streams;
  for (let turn = 0; turn < 5; turn++) expect(sent.slice(turn * 3, turn * 3 + 3).toSorted()).toEqual([1, 2, 3]);
});

test('a failed send fails its own frame only, and the next goes on', async () => {
  let fail = true;
  const { connection } = slowConnection();
  const writer = new FrameWriter(
    {
      ...connection,
      send: async () => {
        if (fail) throw new Error('broken');
      },
    },
    unstuck,
  );
  await expect(writer.bulk(frame(1))).rejects.toMatchObject({ code: 'closed', message: 'broken' });
  fail = false;
  await writer.bulk(frame(2));
});

test('an end refuses what waits and what comes later', async () => {
  const { connection, flush } = slowConnection();
  const writer = new FrameWriter(connection, unstuck);
  const bulk = [1, 2, 3].map((id) => writer.bulk(frame(id)));
  const error = Object.assign(new Error('over'), { name: 'FedStreamError', code: 'timeout' }) as never;
  writer.end(error);
  await expect(bulk[2]).rejects.toBe(error);
  await expect(writer.bulk(frame(4))).rejects.toBe(error);
  await expect(writer.control(frame(5))).rejects.toBe(error);
  await flush();
  await flush();
  await Promise.all(bulk.slice(0, 2));
});

test('control that nobody reads does not pile up for ever', async () => {
  const { connection, sent } = slowConnection();
  const stuck: string[] = [];
  const writer = new FrameWriter(connection, (error) => {
    stuck.push(error.code);
    writer.end(error);
  });
  const refused = Array.from({ length: 100_000 }, () => writer.control(frame(1)).catch((error: { code: string }) => error.code));
  expect(stuck).toEqual(['limit']);
  expect(sent.length).toBeLessThan(33_000);
  expect(await refused.at(-1)).toBe('limit');
});
