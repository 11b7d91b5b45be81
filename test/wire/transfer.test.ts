// Encoded models from end to end: every codec and streaming mode, over TCP and in memory; and every
// way that an object can be wrong.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { FedStreamError } from '../../src/core/errors.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Folder } from '../../src/core/storage.js';
import { memory } from '../../src/driver/memory.js';
import { tcp } from '../../src/node/drivers/tcp.js';
import { nodeFolder } from '../../src/node/storage/node-folder.js';
import { digestOf } from '../../src/stream/leaf-sums.js';
import { memorySource } from '../../src/stream/source.js';
import type { TensorEntry } from '../../src/tensor/manifest.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import { objectBytes, objectSource } from '../../src/transfer/object.js';
import { type Received, receiveModel } from '../../src/transfer/receive.js';
import { TensorReceiver } from '../../src/transfer/receive-tensors.js';
import { prepareModel, sendPrepared } from '../../src/transfer/send.js';
import { spoolSource, writeSpool } from '../../src/transfer/spool.js';
import { STREAMING_MODES } from '../../src/transfer/streaming-mode.js';
import { cutAfter, type Linked, type LinkOptions, link } from './linked.js';
import { chunksOf, ENCODINGS, someModel } from './models.js';

const parent = mkdtempSync(join(tmpdir(), 'fedstream-wire-'));
afterAll(() => rmSync(parent, { recursive: true, force: true }));
let folders = 0;
const diskFolder = (): Folder => nodeFolder(join(parent, String(folders++)));

const codecs = referenceCodecs;
const overMemory = (options?: LinkOptions): Promise<Linked> => link(memory(), 'memory://transfer', options);

async function expectSame(received: StateDict, sent: StateDict): Promise<void> {
  expect(received.manifest).toEqual(sent.manifest);
  const [got, expected] = [await chunksOf(received), await chunksOf(sent)];
  expect(got.length).toBe(expected.length);
  for (const [i, bytes] of got.entries()) expect(Buffer.compare(bytes, expected[i] as Buffer)).toBe(0);
}

async function objectOf(model: StateDict): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const bytes of objectSource(model, codecs).read(0)) pieces.push(bytes.slice());
  return Buffer.concat(pieces);
}

const matrix = STREAMING_MODES.flatMap((mode) => Object.entries(ENCODINGS).map(([codec, encoding]) => ({ mode, codec, encoding })));

test.each(matrix)('$codec in $mode mode over tcp', async ({ mode, encoding }) => {
  const linked = await link(tcp(), 'tcp://127.0.0.1:0');
  const model = someModel(encoding);
  const [mine, theirs] = mode === 'regular' ? [memoryFolder(), memoryFolder()] : [diskFolder(), diskFolder()];
  const prepared = await prepareModel(model, codecs, mode, mine, 'global.spool');
  const sending = sendPrepared(linked.near.streams, { kind: 'object' }, prepared);
  const received = await receiveModel(await linked.opened(), { codecs, folder: theirs, name: 'sites/a.spool' });
  const sent = await sending;
  await expectSame(received.model, model);
  const bytes = objectBytes(model.manifest, codecs);
  const object = await objectOf(model);
  for (const figures of [sent, received.figures]) {
    expect(figures).toMatchObject({ objectBytes: bytes, digest: await digestOf(object), retries: 0, resumedBytes: 0 });
    expect(figures.wireBytes).toBeGreaterThan(bytes);
    expect(figures.wireBytes).toBeLessThan(bytes * 1.01 + 200);
  }
  await received.model.close?.();
  await prepared.release();
  expect(await mine.list()).toEqual([]);
  expect(await theirs.list('sites')).toEqual(['a.spool']);
  await linked.close();
});

test('one spool serves many receivers at once, each at its own pace', async () => {
  const model = someModel(ENCODINGS.blockwise8 as never, 9);
  const folder = diskFolder();
  const prepared = await prepareModel(model, codecs, 'file', folder, 'global.spool');
  const links = await Promise.all(Array.from({ length: 5 }, () => link(tcp(), 'tcp://127.0.0.1:0')));
  const transfers = links.map(async (linked, i): Promise<Received> => {
    const sending = sendPrepared(linked.near.streams, null, prepared);
    const stream = await linked.opened();
    await new Promise((resolve) => setTimeout(resolve, i * 20));
    const received = await receiveModel(stream, { codecs, folder, name: `site-${i}.spool` });
    await sending;
    return received;
  });
  for (const { model: received } of await Promise.all(transfers)) {
    await expectSame(received, model);
    await received.close?.();
  }
  await Promise.all(links.map((linked) => linked.close()));
});

test('a result that fails its checks is refused, its spool removed, and the sender gets the reason', async () => {
  const linked = await overMemory();
  const folder = memoryFolder();
  const prepared = await prepareModel(someModel(ENCODINGS.nf4 as never), codecs, 'file', memoryFolder(), 'x');
  const failed = sendPrepared(linked.near.streams, null, prepared).catch((error: FedStreamError) => error);
  const verify = async (): Promise<void> => {
    throw new FedStreamError('non-finite', 'tensor norms.3 of site-a has NaN at element 5');
  };
  await expect(receiveModel(await linked.opened(), { codecs, folder, name: 'a', verify })).rejects.toMatchObject({
    code: 'non-finite',
  });
  expect(await failed).toMatchObject({ code: 'non-finite', message: 'tensor norms.3 of site-a has NaN at element 5' });
  expect(await folder.list()).toEqual([]);
  await linked.close();
});

test('a model that cannot be coded fails while it is prepared, or at the receiver while it is sent', async () => {
  const bad = someModel(ENCODINGS.fp32 as never);
  const poisoned: StateDict = {
    manifest: bad.manifest,
    async *chunks(range) {
      for await (const chunk of bad.chunks(range)) {
        if (chunk.tensor.name === 'last') throw new FedStreamError('non-finite', 'tensor last has NaN');
        yield chunk;
      }
    },
  };
  const folder = memoryFolder();
  await expect(prepareModel(poisoned, codecs, 'file', folder, 'x')).rejects.toMatchObject({ code: 'non-finite' });
  expect(await folder.list()).toEqual([]);
  const linked = await overMemory();
  const prepared = await prepareModel(poisoned, codecs, 'container', folder, 'x');
  const failed = sendPrepared(linked.near.streams, null, prepared).catch((error: FedStreamError) => error.code);
  await expect(receiveModel(await linked.opened(), { codecs, folder, name: 'x' })).rejects.toMatchObject({
    code: 'non-finite',
  });
  expect(await failed).toBe('non-finite');
  await linked.close();
});

test.each(['spooled', 'taken a tensor at a time'])('a false object is refused when it is %s, and leaves nothing', async (how) => {
  const object = await objectOf(someModel(ENCODINGS.nf4 as never));
  const changed = (at: number, ...values: number[]): Buffer => {
    const bytes = Buffer.from(object);
    bytes.set(values, at);
    return bytes;
  };
  const lies: [string, Uint8Array, RegExp][] = [
    ['nothing', new Uint8Array(0), /bad-manifest/],
    ['half a prefix', object.subarray(0, 9), /bad-manifest/],
    ['noise', changed(0, 1, 2, 3), /bad-manifest/],
    ['another version', changed(4, 2), /unsupported/],
    ['a manifest longer than all', changed(8, 255, 255, 255, 15), /bad-manifest|limit/],
    ['a manifest beyond the limit', changed(8, 0, 0, 0, 0, 1), /limit/],
    ['a manifest that ends early', changed(8, object[8] as number, (object[9] as number) - 1), /bad-manifest/],
    ['a manifest that is no JSON', changed(16, 0x20, 0x20), /bad-manifest/],
    ['a missing byte', object.subarray(0, object.length - 1), /bad-manifest/],
    ['a byte too many', Buffer.concat([object, Buffer.of(0)]), /bad-manifest/],
    ['a manifest alone', object.subarray(0, 16 + object.readUInt32LE(8)), /bad-manifest/],
  ];
  const linked = await overMemory();
  for (const [what, bytes, code] of lies) {
    const folder = memoryFolder();
    const failed = linked.near.streams
      .send(null, { ...memorySource(bytes), digest: await digestOf(bytes) })
      .catch((error: FedStreamError) => error.code);
    const stream = await linked.opened();
    const received =
      how === 'spooled'
        ? receiveModel(stream, { codecs, folder, name: 'x' })
        : new TensorReceiver({ codecs, onTensor: () => {} }).receive(stream);
    const error = await received.catch((thrown: FedStreamError) => thrown);
    expect(error, what).toBeInstanceOf(FedStreamError);
    expect((error as FedStreamError).code, what).toMatch(code);
    expect(await failed, what).toBe((error as FedStreamError).code);
    expect(
      (await folder.list()).filter((name) => name === 'x'),
      what,
    ).toEqual([]);
  }
  await linked.close();
});

test('an object above the limit is refused before it fills the folder, with or without its size in the header', async () => {
  const model = someModel(ENCODINGS.fp32 as never);
  const linked = await overMemory();
  for (const mode of ['file', 'container'] as const) {
    const folder = memoryFolder();
    const source = objectSource(model, codecs);
    const untold = mode === 'container' ? { read: (offset: number) => source.read(offset) } : source;
    const failed = linked.near.streams.send(null, untold).catch((error: FedStreamError) => error.code);
    await expect(receiveModel(await linked.opened(), { codecs, folder, name: 'x', maxBytes: 100_000 })).rejects.toMatchObject({
      code: 'limit',
    });
    expect(await failed).toBe('limit');
    expect(await folder.list()).toEqual([]);
  }
  await linked.close();
});

test.each([1, 2, 3])('after cuts a transfer resumes, and sends no verified byte twice (seed %i)', async (seed) => {
  const model = someModel(ENCODINGS.fp32 as never, seed, 2_600_000);
  const folder = diskFolder();
  const prepared = await prepareModel(model, codecs, 'file', folder, 'global.spool');
  let resumed = 0;
  for (let attempt = 0; ; attempt++) {
    const linked = await overMemory({ wire: cutAfter(attempt < 4 ? 2_100_000 * seed : Number.POSITIVE_INFINITY) });
    const sending = sendPrepared(linked.near.streams, null, prepared).catch((error: FedStreamError) => error);
    const had = await folder.sizeBytes('a.part');
    const received = await receiveModel(await linked.opened(), { codecs, folder, name: 'a' }).catch((error: FedStreamError) => error);
    if (received instanceof FedStreamError) {
      expect(received.code).toBe('closed');
      await linked.near.session.closed;
      expect(await folder.sizeBytes('a')).toBeUndefined();
      continue;
    }
    expect(await sending).toMatchObject({ resumedBytes: had ?? 0 });
    expect(received.figures.resumedBytes).toBe(had ?? 0);
    resumed = received.figures.resumedBytes;
    await expectSame(received.model, model);
    await received.model.close?.();
    await linked.close();
    break;
  }
  expect(resumed).toBeGreaterThan(0);
  expect(await folder.list()).toEqual(['a', 'global.spool']);
});

test('an object whose confirmation could not be sent is not sent again', async () => {
  const model = someModel(ENCODINGS.nf4 as never, 4, 700_000);
  const folder = memoryFolder();
  const prepared = await prepareModel(model, codecs, 'file', folder, 'global.spool');
  const first = await overMemory();
  void sendPrepared(first.near.streams, null, prepared).catch(() => {});
  const verify = (): Promise<void> => first.near.session.close(new FedStreamError('closed', 'gone'));
  await expect(receiveModel(await first.opened(), { codecs, folder, name: 'a', verify })).rejects.toMatchObject({
    code: 'closed',
  });
  const second = await overMemory();
  const sending = sendPrepared(second.near.streams, null, prepared);
  const received = await receiveModel(await second.opened(), { codecs, folder, name: 'a' });
  const { resumedBytes, objectBytes: whole } = await sending;
  expect(resumedBytes).toBe(whole);
  await expectSame(received.model, model);
  await second.close();
});

test('parts of another object, and damaged parts, are not resumed from', async () => {
  const folder = memoryFolder();
  const one = await prepareModel(someModel(ENCODINGS.fp32 as never, 1, 700_000), codecs, 'file', folder, 'one');
  const other = someModel(ENCODINGS.fp32 as never, 2, 700_000);
  const two = await prepareModel(other, codecs, 'file', folder, 'two');
  const cut = await overMemory({ wire: cutAfter(2_500_000) });
  void sendPrepared(cut.near.streams, null, one).catch(() => {});
  await expect(receiveModel(await cut.opened(), { codecs, folder, name: 'a' })).rejects.toMatchObject({ code: 'closed' });
  const linked = await overMemory();
  const sending = sendPrepared(linked.near.streams, null, two);
  const received = await receiveModel(await linked.opened(), { codecs, folder, name: 'a' });
  expect(await sending).toMatchObject({ resumedBytes: 0 });
  await expectSame(received.model, other);
  // A part with changed bytes on the disk is resumed from its last unchanged leaf.
  const again = await overMemory({ wire: cutAfter(2_500_000) });
  void sendPrepared(again.near.streams, null, two).catch(() => {});
  await expect(receiveModel(await again.opened(), { codecs, folder, name: 'b' })).rejects.toMatchObject({ code: 'closed' });
  expect(await folder.sizeBytes('b.part')).toBe(2 * 2 ** 20);
  const part = await folder.create('b.part', { keep: true });
  await part.write(Uint8Array.of(255, 255), 2 ** 20 + 3000);
  await part.close();
  const last = sendPrepared(linked.near.streams, null, two);
  await expectSame((await receiveModel(await linked.opened(), { codecs, folder, name: 'b' })).model, other);
  expect(await last).toMatchObject({ resumedBytes: 2 ** 20 });
  expect((await folder.list()).filter((name) => name.startsWith('b'))).toEqual(['b']);
  await linked.close();
});

test.each([1, 2, 3])(
  'in container mode, too, a transfer resumes after cuts if its name promises the same bytes (seed %i)',
  async (seed) => {
    const model = someModel(ENCODINGS.nf4 as never, seed, 9_000_000);
    const [mine, theirs] = [memoryFolder(), diskFolder()];
    let resumed = 0;
    for (let attempt = 0; ; attempt++) {
      const linked = await overMemory({
        wire: cutAfter(attempt < 3 ? (1_300_000 + seed * 100_000) * (attempt + 1) : Number.POSITIVE_INFINITY),
      });
      // Like a restarted sender, it has to read again the bytes that it does not send.
      const prepared = await prepareModel(model, codecs, 'container', mine, 'x', 'round 3');
      const sending = sendPrepared(linked.near.streams, null, prepared).catch((error: FedStreamError) => error);
      const had = Math.floor(((await theirs.sizeBytes('a.part')) ?? 0) / 2 ** 20) * 2 ** 20;
      const receiving = receiveModel(await linked.opened(), { codecs, folder: theirs, name: 'a' });
      const received = await receiving.catch((error: FedStreamError) => error);
      if (received instanceof FedStreamError) {
        expect(received.code).toBe('closed');
        continue;
      }
      expect(await sending).toMatchObject({ resumedBytes: had });
      resumed = received.figures.resumedBytes;
      await expectSame(received.model, model);
      await received.model.close?.();
      await linked.close();
      break;
    }
    expect(resumed).toBeGreaterThan(0);
    expect(await theirs.list()).toEqual(['a']);
  },
);

test.each([1, 2, 3])('a tensor at a time, each once and in order, with cuts in the middle of tensors (seed %i)', async (seed) => {
  const model = someModel(ENCODINGS.blockwise8 as never, seed, 4_000_000);
  const prepared = await prepareModel(model, codecs, 'container', memoryFolder(), 'x', 'round 3');
  const tensors: [string, Buffer][] = [];
  const onTensor = async ({ name }: TensorEntry, coded: Uint8Array): Promise<void> => {
    tensors.push([name, Buffer.from(coded)]);
    await new Promise((resolve) => setTimeout(resolve, 0));
  };
  const receiver = new TensorReceiver({ codecs, onTensor });
  let resumed = 0;
  for (let attempt = 0; ; attempt++) {
    const linked = await overMemory({ wire: cutAfter(attempt < 3 ? 1_500_000 + seed * 100_000 : Number.POSITIVE_INFINITY) });
    const sending = sendPrepared(linked.near.streams, null, prepared).catch((error: FedStreamError) => error);
    const figures = await receiver.receive(await linked.opened()).catch((error: FedStreamError) => error);
    const sent = await sending;
    if (figures instanceof FedStreamError) continue;
    expect(sent).toMatchObject({ resumedBytes: figures.resumedBytes, digest: figures.digest });
    resumed = figures.resumedBytes;
    await linked.close();
    break;
  }
  expect(resumed).toBeGreaterThan(2 ** 20);
  expect(tensors.map(([name]) => name)).toEqual(model.manifest.tensors.map(({ name }) => name));
  expect(Buffer.compare(Buffer.concat(tensors.map(([, bytes]) => bytes)), Buffer.concat(await chunksOf(model)))).toBe(0);
});

test('a file that changes while it is sent fails by its digest', async () => {
  const folder = memoryFolder();
  const info = await writeSpool(someModel(ENCODINGS.fp32 as never), codecs, folder, 'x');
  const file = await folder.create('x', { keep: true });
  await file.write(Uint8Array.of(1, 2, 3), info.totalBytes - 10);
  await file.close();
  const linked = await overMemory();
  const failed = linked.near.streams.send(null, spoolSource(folder, 'x', info)).catch((error: FedStreamError) => error.code);
  await expect(receiveModel(await linked.opened(), { codecs, folder, name: 'y' })).rejects.toMatchObject({ code: 'digest' });
  expect(await failed).toBe('digest');
  await linked.close();
});
