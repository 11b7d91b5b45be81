// An object that does not fit is refused once its manifest is there; nothing of it stays.
import { expect, test } from 'vitest';
import { referenceCodecs as codecs } from '../codec/codec-table.js';
import { memoryFolder } from '../core/memory-folder.js';
import { memory } from '../driver/memory.js';
import { Session } from '../frame/session.js';
import type { IncomingStream } from '../stream/incoming-stream.js';
import { memorySource } from '../stream/source.js';
import { Streams } from '../stream/streams.js';
import { RAW } from '../tensor/manifest.js';
import { memoryStateDict } from '../tensor/memory-state-dict.js';
import { DiskRoom } from './disk-room.js';
import { encodeObjectHead, objectSource } from './object.js';
import { readObjectHead } from './object-head.js';
import { type ReceiveOptions, receiveModel } from './receive.js';

const MIB = 2 ** 20;
const model = memoryStateDict([{ name: 'w', dtype: 'F32', shape: [5 * MIB], data: new Float32Array(5 * MIB) }]);
const source = objectSource(model, codecs, 'w');

/** Sends an object; resolves with the error of its receiver, what stayed of it, and how far it came. */
async function refusal(sent: typeof source | ReturnType<typeof memorySource>, options: Partial<ReceiveOptions>) {
  const driver = memory();
  let accept: (stream: IncomingStream) => void = () => {};
  const opened = new Promise<IncomingStream>((resolve) => {
    accept = resolve;
  });
  const listener = await driver.listen?.('memory://here', (connection) => {
    const session = new Session(connection, { name: 'far' });
    new Streams(session, accept);
    void session.start();
  });
  const session = new Session(await driver.connect('memory://here'), { name: 'near' });
  const streams = new Streams(session, () => {});
  await session.start();
  const folder = memoryFolder();
  let arrivedBytes = 0;
  const sending = streams.send(null, sent).catch((error: unknown) => error);
  const received = receiveModel(await opened, {
    codecs,
    folder,
    name: 'x',
    onProgress: (bytes) => {
      arrivedBytes = bytes;
    },
    ...options,
  });
  const error = await received.then(
    () => undefined,
    (failure: unknown) => failure,
  );
  const told = await sending;
  await session.close();
  await listener?.close();
  return { error, told, left: await folder.list(), arrivedBytes };
}

test('a manifest that its receiver does not expect is refused before the tensors come', async () => {
  const expectOther = (): never => {
    throw new Error('another list of tensors');
  };
  for (const totalBytes of [source.totalBytes, undefined]) {
    const { error, told, left, arrivedBytes } = await refusal({ ...source, totalBytes: totalBytes as number }, { expect: expectOther });
    expect(error).toMatchObject({ message: 'another list of tensors' });
    expect(told).toMatchObject({ message: 'another list of tensors' });
    expect(left).toEqual([]);
    expect(arrivedBytes).toBe(0);
  }
});

test('a manifest longer than the receiver takes is not read', async () => {
  const head = new Uint8Array(3 * MIB);
  head.set(encodeObjectHead({ ...model.manifest, metadata: { text: 'x'.repeat(2 * MIB) } }));
  const { error, left } = await refusal(memorySource(head), { limits: { manifestBytes: MIB } });
  expect(error).toMatchObject({
    code: 'limit',
    message: expect.stringMatching(/claims a manifest of 2097\d+ bytes; at most 1048576 are taken/),
  });
  expect(left).toEqual([]);
});

test('an object whose size is not the one of its manifest is refused before the tensors come', async () => {
  const { error, arrivedBytes, left } = await refusal({ ...source, totalBytes: source.totalBytes + MIB }, {});
  expect(error).toMatchObject({ code: 'bad-manifest', message: expect.stringMatching(/its manifest makes/) });
  expect([arrivedBytes, left]).toEqual([0, []]);
});

test('a manifest of exabytes takes no room: the limit of its receiver counts, whatever the sender claims', async () => {
  const huge = { ...model.manifest, tensors: [{ name: 'w', dtype: 'U8' as const, shape: [2 ** 53 - 1], encoding: RAW }] };
  const endless = {
    async *read() {
      yield encodeObjectHead(huge);
      for (;;) yield new Uint8Array(MIB);
    },
  };
  const { error, left } = await refusal(endless as never, { maxBytes: 4 * MIB });
  expect(error).toMatchObject({ code: 'limit', message: expect.stringMatching(/an object of \d+ bytes or more was sent/) });
  expect(left).toEqual([]);
  const room = new DiskRoom({ folder: memoryFolder(), limitBytes: 8 * MIB });
  expect((await refusal(endless as never, { room })).error).toMatchObject({ code: 'limit', message: expect.stringMatching(/8\.39 MB/) });
});

test('other work goes on while a long manifest is read', async () => {
  const tensors = Array.from({ length: 40_000 }, (_, i) => ({
    name: `layers.${i}.weight`,
    dtype: 'F32' as const,
    shape: [2],
    encoding: RAW,
  }));
  const folder = memoryFolder();
  const file = await folder.create('x');
  const head = encodeObjectHead({ ...model.manifest, tensors });
  await file.write(head, 0);
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  const read = await readObjectHead(await folder.open('x'), 'x');
  clearInterval(timer);
  expect(read.manifest.tensors).toEqual(tensors);
  expect(turns).toBeGreaterThanOrEqual(Math.floor(head.length / (256 * 1024)) / 2);
});
