// A model that is taken while it arrives: what is made of it counts only once the whole is verified.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { decodeModel } from '../../src/codec/quantize.js';
import { FedStreamError } from '../../src/core/errors.js';
import type { Folder } from '../../src/core/storage.js';
import { memory } from '../../src/driver/memory.js';
import { nodeFolder } from '../../src/node/storage/node-folder.js';
import { memorySource } from '../../src/stream/source.js';
import { openSafetensors, writeSafetensors } from '../../src/tensor/safetensors.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import { objectSource } from '../../src/transfer/object.js';
import { receiveModel } from '../../src/transfer/receive.js';
import { prepareAhead, prepareModel, sendPrepared } from '../../src/transfer/send.js';
import { cutAfter, type Linked, type LinkOptions, link } from './linked.js';
import { chunksOf, ENCODINGS, someModel } from './models.js';

const parent = mkdtempSync(join(tmpdir(), 'fedstream-taken-'));
afterAll(() => rmSync(parent, { recursive: true, force: true }));
let folders = 0;
const diskFolder = (): Folder => nodeFolder(join(parent, String(folders++)));

const codecs = referenceCodecs;
const overMemory = (options?: LinkOptions): Promise<Linked> => link(memory(), 'memory://taken', options);
const decodedInto =
  (folder: Folder) =>
  async (model: StateDict): Promise<void> => {
    await writeSafetensors(folder, 'model', decodeModel(model, codecs), { durable: false });
  };

async function expectDecoded(folder: Folder, model: StateDict): Promise<void> {
  const [got, expected] = [await openSafetensors(folder, 'model'), decodeModel(model, codecs)];
  expect(got.manifest.tensors).toEqual(expected.manifest.tensors);
  const bytes = async (of: StateDict): Promise<Buffer> => Buffer.concat(await chunksOf(of));
  expect((await bytes(got)).equals(await bytes(expected))).toBe(true);
  await got.close?.();
}

test.each(['fp32', 'bf16', 'nf4-nested'])('a model in %s is decoded while it arrives', async (codec) => {
  const model = someModel(ENCODINGS[codec] as never, 3, 2_500_000);
  const linked = await overMemory();
  const [mine, theirs] = [diskFolder(), diskFolder()];
  const sending = sendPrepared(linked.near.streams, null, await prepareModel(model, codecs, 'file', mine, 'sent'));
  const { model: received } = await receiveModel(await linked.opened(), { codecs, folder: theirs, name: 'a', take: decodedInto(theirs) });
  await sending;
  await expectDecoded(theirs, model);
  await received.close?.();
  expect(await theirs.list()).toEqual(['a', 'model']);
  await linked.close();
});

test('chunks are given out before the object has ended, and its end only with the whole', async () => {
  const model = someModel(ENCODINGS.bf16 as never, 1, 1_500_000);
  const linked = await overMemory();
  const folder = diskFolder();
  const object = await prepareModel(model, codecs, 'file', diskFolder(), 'sent');
  let open: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const source = {
    ...object.source,
    async *read(offset: number) {
      for await (const piece of object.source.read(offset)) {
        yield piece;
        await gate; // one leaf goes out, the next when the first chunks were taken
      }
    },
  };
  const told: string[] = [];
  const take = async (arriving: StateDict): Promise<void> => {
    for await (const { tensor } of arriving.chunks()) {
      if (tensor.name === 'embedding') open();
      if (told.at(-1) !== tensor.name) told.push(tensor.name);
    }
    told.push('the end');
  };
  const verify = (): void => void told.push('verified');
  const sending = linked.near.streams.send(null, source);
  await receiveModel(await linked.opened(), { codecs, folder, name: 'a', take, verify });
  await sending;
  expect(told[0]).toBe('embedding');
  expect(told.slice(-3)).toEqual(['verified', 'last', 'the end']);
  await linked.close();
});

test('of an object that is not the announced one nothing is made', async () => {
  const model = someModel(ENCODINGS.nf4 as never, 2, 1_500_000);
  const linked = await overMemory();
  const folder = diskFolder();
  const pieces: Uint8Array[] = [];
  for await (const piece of objectSource(model, codecs).read(0)) pieces.push(piece.slice());
  const failed = linked.near.streams
    .send(null, { ...memorySource(Buffer.concat(pieces)), digest: '0'.repeat(32) })
    .catch((error: FedStreamError) => error.code);
  const take = decodedInto(folder);
  await expect(receiveModel(await linked.opened(), { codecs, folder, name: 'a', take })).rejects.toMatchObject({ code: 'digest' });
  expect(await failed).toBe('digest');
  expect(await folder.list()).toEqual([]);
  await linked.close();
});

test.each(['while it arrives', 'at its end'])('an error of the taker %s is told, and the bytes stay for another try', async (when) => {
  const model = someModel(ENCODINGS.bf16 as never, 5, 1_500_000);
  const linked = await overMemory();
  const folder = diskFolder();
  const prepared = await prepareModel(model, codecs, 'file', diskFolder(), 'sent');
  const failed = sendPrepared(linked.near.streams, null, prepared).catch((error: FedStreamError) => error);
  const take = async (arriving: StateDict): Promise<void> => {
    for await (const _ of arriving.chunks()) if (when === 'while it arrives') break;
    throw new FedStreamError('io', 'the disk is full');
  };
  await expect(receiveModel(await linked.opened(), { codecs, folder, name: 'a', take })).rejects.toMatchObject({ code: 'io' });
  expect(await failed).toMatchObject({ code: 'io', message: 'the disk is full' });
  const sending = sendPrepared(linked.near.streams, null, prepared);
  await receiveModel(await linked.opened(), { codecs, folder, name: 'a', take: decodedInto(folder) });
  expect((await sending).resumedBytes).toBeGreaterThan(0);
  await expectDecoded(folder, model);
  await linked.close();
});

test('coded while it is sent and decoded while it arrives, with cuts in between', async () => {
  // Above 32 MiB, from which on nobody waits for the coding.
  const model = someModel(ENCODINGS.bf16 as never, 1, 17_000_000);
  const [mine, theirs] = [diskFolder(), diskFolder()];
  let prepared = await prepareAhead(model, codecs, 'file', mine, 'sent', 'round 3');
  expect(prepared.whole).toBeInstanceOf(Promise);
  let resumed = 0;
  for (let attempt = 0; ; attempt++) {
    const wire = cutAfter(attempt < 3 ? 9_400_000 : Number.POSITIVE_INFINITY);
    const linked = await overMemory({ wire });
    const sending = sendPrepared(linked.near.streams, null, prepared).catch((error: FedStreamError) => error);
    const had = Math.floor(((await theirs.sizeBytes('a.part')) ?? 0) / 2 ** 20) * 2 ** 20;
    const receiving = receiveModel(await linked.opened(), { codecs, folder: theirs, name: 'a', take: decodedInto(theirs) });
    const received = await receiving.catch((error: FedStreamError) => error);
    if (received instanceof FedStreamError) {
      expect(received.code).toBe('closed');
      expect(await theirs.sizeBytes('model')).toBeUndefined();
      if (attempt > 0) continue;
      // A sender that ended in the middle of its coding codes the same bytes once more.
      await prepared.release();
      prepared = await prepareAhead(model, codecs, 'file', mine, 'sent', 'round 3');
      continue;
    }
    expect(await sending).toMatchObject({ resumedBytes: had });
    resumed = received.figures.resumedBytes;
    await received.model.close?.();
    await linked.close();
    break;
  }
  expect(resumed).toBeGreaterThan(2 ** 24);
  await expectDecoded(theirs, model);
  await prepared.release();
  expect(await mine.list()).toEqual([]);
  expect(await theirs.list()).toEqual(['a', 'model']);
});

test.each(['file', 'regular'] as const)('a model that lies in a file is served from there in the mode %s', async (mode) => {
  const model = someModel(ENCODINGS.fp32 as never, 7, 1_500_000);
  const [folder, spools, theirs] = [diskFolder(), diskFolder(), diskFolder()];
  await writeSafetensors(folder, 'model', model);
  const stored = await openSafetensors(folder, 'model', { chunkElements: 16_384 });
  const prepared = await prepareModel(stored, codecs, mode, spools, 'sent', 'one');
  const byChunks = objectSource({ ...stored, readAt: undefined }, codecs);
  for (const offset of [0, 2 ** 20, 3 * 2 ** 20, (byChunks.totalBytes as number) - 1]) {
    const [whole, pieces]: [Uint8Array[], Uint8Array[]] = [[], []];
    for await (const piece of byChunks.read(offset)) whole.push(piece.slice());
    for await (const piece of prepared.source.read(offset)) pieces.push(piece.slice());
    expect(Buffer.concat(pieces).equals(Buffer.concat(whole))).toBe(true);
  }
  const linked = await overMemory();
  const sending = sendPrepared(linked.near.streams, null, prepared);
  const { model: received } = await receiveModel(await linked.opened(), { codecs, folder: theirs, name: 'a' });
  await sending;
  expect(received.manifest).toEqual(stored.manifest);
  expect(Buffer.concat(await chunksOf(received)).equals(Buffer.concat(await chunksOf(stored)))).toBe(true);
  expect(await spools.list()).toEqual([]);
  await Promise.all([received.close?.(), stored.close?.(), linked.close()]);
});
