// Codes of varying size: objects, spools, transfers and coded files that carry the sizes, and
// errors in them.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_SIZES_BYTES } from '../../src/codec/chunk-sizes.js';
import type { CodecTable } from '../../src/codec/codec.js';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { writeCodedModel } from '../../src/codec/coded-file.js';
import { openModelFile } from '../../src/codec/model-file.js';
import { decodeModel, encodeModel } from '../../src/codec/quantize.js';
import { FedStreamError } from '../../src/core/errors.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Folder } from '../../src/core/storage.js';
import { memory } from '../../src/driver/memory.js';
import type { Manifest, TensorEntry } from '../../src/tensor/manifest.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import type { ChunkRange, StateDict } from '../../src/tensor/state-dict.js';
import { encodeObjectHead, objectBytes, objectSource } from '../../src/transfer/object.js';
import { receiveModel } from '../../src/transfer/receive.js';
import { TensorReceiver } from '../../src/transfer/receive-tensors.js';
import { prepareModel, sendPrepared } from '../../src/transfer/send.js';
import { openSpool, spoolInfo, writeSpool } from '../../src/transfer/spool.js';
import { STREAMING_MODES } from '../../src/transfer/streaming-mode.js';
import { TensorGrouper } from '../../src/transfer/tensor-grouper.js';
import { tensorModel } from '../../src/transfer/tensor-model.js';
import { cutAfter, link } from '../wire/linked.js';
import { runsRow, stepsRow } from './outside-codecs.js';

const codecs: CodecTable = { ...referenceCodecs, runsRow, stepsRow };
const CHUNK = 16_384;

/** The example of the specification. */
function small(): StateDict {
  const model = memoryStateDict([
    { name: 'w', dtype: 'F32', shape: [2, 2], data: Float32Array.of(1, 1, 1, 0) },
    { name: 'n', dtype: 'I32', shape: [], data: Int32Array.of(7) },
    { name: 'e', dtype: 'F32', shape: [0], data: new Float32Array(0) },
  ]);
  return encodeModel(model, ({ name }) => ({ codec: name === 'n' ? 'raw' : 'runs' }), codecs);
}

/** Tensors of several chunks, between some whose sizes are known. */
function larger(): StateDict {
  const ramp = (length: number, run: number): Float32Array => Float32Array.from({ length }, (_, i) => Math.sin(Math.floor(i / run)));
  const model = memoryStateDict(
    [
      { name: 'a', dtype: 'F32', shape: [50_000], data: ramp(50_000, 100) },
      { name: 'b', dtype: 'F32', shape: [3, 11_111], data: ramp(33_333, 7) },
      { name: 'e', dtype: 'F32', shape: [0], data: new Float32Array(0) },
      { name: 'c', dtype: 'F16', shape: [20_000], data: new Uint8Array(40_000) },
      { name: 'n', dtype: 'I64', shape: [2], data: BigInt64Array.of(1n, 2n) },
      { name: 'd', dtype: 'F32', shape: [CHUNK], data: ramp(CHUNK, 9) },
    ],
    { chunkElements: CHUNK },
  );
  return encodeModel(model, ({ name }) => ({ codec: name === 'b' ? 'u4' : name === 'n' ? 'raw' : 'runs' }), codecs);
}

async function put(folder: Folder, name: string, bytes: Uint8Array): Promise<void> {
  const file = await folder.create(name);
  await file.write(bytes, 0);
  await file.close();
}

async function bytesOf(folder: Folder, name: string): Promise<Buffer> {
  const file = await folder.open(name);
  const bytes = Buffer.alloc(file.sizeBytes);
  await file.read(bytes, 0);
  await file.close();
  return bytes;
}

async function spooled(model: StateDict): Promise<Buffer> {
  const folder = memoryFolder();
  await writeSpool(model, codecs, folder, 'x');
  return bytesOf(folder, 'x');
}

async function chunksOf(model: StateDict, range?: ChunkRange): Promise<string[]> {
  const chunks: string[] = [];
  for await (const { index, bytes } of model.chunks(range)) chunks.push(`${index} ${Buffer.from(bytes).toString('base64')}`);
  return chunks;
}

test('the bytes are those of docs/spec/spool.md', async () => {
  const bytes = await spooled(small());
  const head = encodeObjectHead(small().manifest);
  expect(bytes.subarray(0, head.length)).toEqual(Buffer.from(head));
  expect(bytes.subarray(head.length).toString('hex')).toBe('0c00000003000000803f01000000000007000000');
});

test('a spool returns its model, whole and by range, and reports its true sizes', async () => {
  const folder = memoryFolder();
  const info = await writeSpool(larger(), codecs, folder, 'x');
  expect(info).toMatchObject({ totalBytes: await folder.sizeBytes('x'), digest: (await spoolInfo(folder, 'x')).digest });
  expect(info.totalBytes).toBeLessThan(objectBytes(larger().manifest, codecs));
  expect(await folder.list()).toEqual(['x']);
  const model = await openSpool(folder, 'x', codecs);
  const expected = await chunksOf(larger());
  expect(await chunksOf(model)).toEqual(expected);
  for (let first = 0; first <= expected.length; first++)
    for (let end = first; end <= expected.length; end++) expect(await chunksOf(model, { first, end })).toEqual(expected.slice(first, end));
  expect(await chunksOf(decodeModel(model, codecs))).toEqual(await chunksOf(decodeModel(larger(), codecs)));
});

test('an object that is coded while it is read cannot have codes of varying size', () => {
  expect(() => objectSource(larger(), codecs)).toThrow(expect.objectContaining({ code: 'internal' }));
});

test.each(STREAMING_MODES)('%s: coded once before it is sent, and received as it was', async (mode) => {
  const linked = await link(memory(), 'memory://varying');
  const [mine, theirs] = [memoryFolder(), memoryFolder()];
  const prepared = await prepareModel(larger(), codecs, mode, mine, 'sent', 'round 3');
  expect(await mine.list()).toEqual(['sent']);
  const sending = sendPrepared(linked.near.streams, null, prepared);
  const { model } = await receiveModel(await linked.opened(), { codecs, folder: theirs, name: 'got' });
  await sending;
  expect(model.manifest).toEqual(larger().manifest);
  expect(await chunksOf(model)).toEqual(await chunksOf(larger()));
  // A spool that is sent on is a model like any other.
  const again = await prepareModel(model, codecs, mode, theirs, 'again');
  expect(again.source.digest).toBe(prepared.source.digest);
  await prepared.release();
  expect(await mine.list()).toEqual([]);
  await linked.close();
});

test('a transfer that was cut resumes, also in the mode that codes while it sends', async () => {
  const data = Float32Array.from({ length: 700_000 }, (_, i) => Math.sin(i));
  const model = encodeModel(memoryStateDict([{ name: 'w', dtype: 'F32', shape: [700_000], data }]), () => ({ codec: 'runs' }), codecs);
  const theirs = memoryFolder();
  for (const bytes of [1_500_000, 3_000_000, Number.POSITIVE_INFINITY]) {
    const linked = await link(memory(), 'memory://cut', { wire: cutAfter(bytes) });
    // A restarted sender codes the same bytes again.
    const prepared = await prepareModel(model, codecs, 'container', memoryFolder(), 'sent', 'round 3');
    const sending = sendPrepared(linked.near.streams, null, prepared).catch((error: FedStreamError) => error);
    const had = 2 ** 20 * Math.floor(((await theirs.sizeBytes('got.part')) ?? 0) / 2 ** 20);
    const receiving = receiveModel(await linked.opened(), { codecs, folder: theirs, name: 'got' }).catch((error: FedStreamError) => error);
    const received = await receiving;
    if (received instanceof FedStreamError) {
      expect([bytes, received.code]).toEqual([bytes, 'closed']);
      continue;
    }
    expect(bytes).toBe(Number.POSITIVE_INFINITY);
    expect(had).toBeGreaterThan(2 ** 20);
    expect(await sending).toMatchObject({ resumedBytes: had });
    expect(await chunksOf(received.model)).toEqual(await chunksOf(model));
    await linked.close();
  }
});

test('a tensor at a time, each with the sizes of its chunks', async () => {
  const linked = await link(memory(), 'memory://tensors');
  const prepared = await prepareModel(larger(), codecs, 'container', memoryFolder(), 'sent');
  const found: string[] = [];
  const onTensor = async (tensor: TensorEntry, coded: Uint8Array, manifest: Manifest): Promise<void> => {
    found.push(...(await chunksOf(decodeModel(tensorModel(tensor, coded, manifest, codecs), codecs))));
  };
  const sending = sendPrepared(linked.near.streams, null, prepared);
  await new TensorReceiver({ codecs, onTensor }).receive(await linked.opened());
  await sending;
  const bodies = (chunks: readonly string[]): string[] => chunks.map((chunk) => chunk.split(' ')[1] as string);
  expect(bodies(found)).toEqual(bodies(await chunksOf(decodeModel(larger(), codecs))));
  await linked.close();
});

/** A reader of bytes as they come. */
function grouped(bytes: Uint8Array, pieces: readonly number[]): { parts: Buffer; tensors: (number | undefined)[] } {
  const grouper = new TensorGrouper(codecs, bytes.length);
  const parts: Uint8Array[] = [];
  const tensors: (number | undefined)[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = pieces[i % pieces.length] as number;
    for (const { bytes: part, tensorIndex } of grouper.push(bytes.subarray(at, at + size))) {
      parts.push(part.slice());
      tensors.push(tensorIndex);
    }
    at += size;
  }
  grouper.finish();
  return { parts: Buffer.concat(parts), tensors };
}

test('the grouper gives whole tensors from any pieces, and refuses an object that is too short or too long', async () => {
  const whole = await spooled(larger());
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9000 })), { minLength: 1, maxLength: 9 }),
      (cuts) => {
        const { parts, tensors } = grouped(whole, cuts);
        expect(tensors).toEqual([undefined, undefined, 0, 1, 2, 3, 4, 5]);
        expect(Buffer.compare(parts, whole)).toBe(0);
      },
    ),
    { seed: 5, numRuns: 60 },
  );
  for (let size = 0; size < whole.length; size += 97)
    expect(() => grouped(whole.subarray(0, size), [500])).toThrow(expect.objectContaining({ code: 'bad-manifest' }));
  expect(() => grouped(Buffer.concat([whole, Buffer.of(0)]), [500])).toThrow(expect.objectContaining({ code: 'bad-manifest' }));
});

/** The sizes of the four chunks of `a` are the first bytes behind the manifest. */
const tableAt = encodeObjectHead(larger().manifest).length;

/** The object with other sizes. */
async function withSizes(change: (sizes: number[]) => void): Promise<Buffer> {
  const whole = await spooled(larger());
  const sizes = Array.from({ length: 4 }, (_, i) => whole.readUInt32LE(tableAt + 4 * i));
  expect(sizes).toEqual([164, 165, 165, 9].map((runs) => 6 * runs));
  change(sizes);
  for (const [i, size] of sizes.entries()) whole.writeUInt32LE(size, tableAt + 4 * i);
  return whole;
}

test.each([
  [
    'a chunk larger than any code of its values',
    (s: number[]) => s.splice(1, 1, 6 * CHUNK + 1),
    /chunk 1 of tensor a claims 98305 bytes; it has at most 98304/,
  ],
  [
    'a last chunk larger than any code of its few values',
    (s: number[]) => s.splice(3, 1, 6 * 848 + 1),
    /chunk 3 of tensor a claims 5089 bytes; it has at most 5088/,
  ],
  [
    'sizes that end before the chunks do',
    (s: number[]) => s.splice(0, 1, (s[0] as number) - 6),
    /has \d+ bytes; its manifest makes|claims|ends before/,
  ],
  [
    'sizes that end behind the chunks',
    (s: number[]) => s.splice(0, 1, (s[0] as number) + 6),
    /has \d+ bytes; its manifest makes|claims|ends before/,
  ],
  ['sizes of 4 GiB', (s: number[]) => s.fill(0xffffffff), /chunk 0 of tensor a claims 4294967295 bytes/],
])('refused: %s', async (_, change, message) => {
  const folder = memoryFolder();
  await put(folder, 'x', await withSizes(change as (sizes: number[]) => void));
  await expect(openSpool(folder, 'x', codecs)).rejects.toMatchObject({ code: 'bad-manifest', message: expect.stringMatching(message) });
});

test('sizes with the right sum but a wrong end of a chunk: the codec refuses the chunk', async () => {
  const folder = memoryFolder();
  const moved = (by: number) =>
    withSizes((sizes) => {
      sizes[0] = (sizes[0] as number) + by;
      sizes[1] = (sizes[1] as number) - by;
    });
  for (const by of [6, -6, 1, -700]) {
    await put(folder, 'x', await moved(by));
    const model = await openSpool(folder, 'x', codecs);
    await expect(chunksOf(decodeModel(model, codecs))).rejects.toMatchObject({ code: 'bad-manifest' });
  }
  const bytes = await moved(6);
  const tensors: Buffer[] = [];
  for (const part of new TensorGrouper(codecs, bytes.length).push(bytes)) if (part.tensorIndex === 0) tensors.push(Buffer.from(part.bytes));
  const { manifest } = larger();
  const lying = tensorModel(manifest.tensors[0] as TensorEntry, tensors[0] as Buffer, manifest, codecs);
  await expect(chunksOf(decodeModel(lying, codecs))).rejects.toMatchObject({ code: 'bad-manifest' });
});

test('a spool that is too short or too long is refused at every length', async () => {
  const folder = memoryFolder();
  const whole = await spooled(small());
  for (let size = 0; size <= whole.length + 1; size++) {
    await put(folder, 'x', Buffer.concat([whole, Buffer.of(0)]).subarray(0, size));
    const opening = openSpool(folder, 'x', codecs);
    if (size === whole.length) await (await opening).close?.();
    else await expect(opening).rejects.toMatchObject({ code: 'bad-manifest', message: expect.stringContaining('memory/x') });
  }
});

test('any damage to a spool or a transfer gives a clear error', async () => {
  const folder = memoryFolder();
  const whole = await spooled(small());
  const clear = (error: unknown): void => {
    expect(error).toBeInstanceOf(FedStreamError);
    expect(['bad-manifest', 'unsupported', 'limit']).toContain((error as FedStreamError).code);
  };
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), async (changes) => {
      const bytes = Buffer.from(whole);
      for (const [at, value] of changes) bytes[at] = value;
      await put(folder, 'x', bytes);
      try {
        await chunksOf(decodeModel(await openSpool(folder, 'x', codecs), codecs));
      } catch (error) {
        clear(error);
      }
      try {
        grouped(bytes, [7]);
      } catch (error) {
        clear(error);
      }
    }),
    { seed: 11, numRuns: 1_000 },
  );
});

test('sizes are read only if their bytes have arrived, and no more than are held', async () => {
  const claims = (elements: number): Buffer => {
    const tensor: TensorEntry = { name: 'w', dtype: 'F32', shape: [elements], encoding: { codec: 'runs' } };
    return Buffer.from(encodeObjectHead({ tensors: [tensor], chunkElements: CHUNK, tied: {}, metadata: {} }));
  };
  const folder = memoryFolder();
  const most = (MAX_SIZES_BYTES / 4) * CHUNK;
  for (const [elements, code, message] of [
    [most, 'bad-manifest', /ends before the chunks of tensor w/],
    [most + 1, 'limit', /chunk sizes of 67108868 bytes; at most 67108864 are read/],
  ] as const) {
    await put(folder, 'x', claims(elements));
    const expected = { code, message: expect.stringMatching(message) };
    await expect(openSpool(folder, 'x', codecs)).rejects.toMatchObject(expected);
    // A receiver that holds a tensor at a time does not get as far.
    await expect((async () => grouped(claims(elements), [64]))()).rejects.toMatchObject({ code: 'limit' });
  }
});

test('a coded file carries the sizes before the chunks of a tensor, and nothing is left beside it', async () => {
  const folder = memoryFolder();
  const bytes = await writeCodedModel(folder, 'm', larger(), codecs);
  expect(await folder.list()).toEqual(['m']);
  expect(bytes).toBe(await folder.sizeBytes('m'));
  const model = await openModelFile(folder, 'm', codecs);
  expect(model.manifest).toEqual(larger().manifest);
  const expected = await chunksOf(larger());
  expect(await chunksOf(model)).toEqual(expected);
  expect(await chunksOf(model, { first: 2, end: 9 })).toEqual(expected.slice(2, 9));
});

test('a coded file whose model fails leaves nothing behind', async () => {
  const folder = memoryFolder();
  const bad = memoryStateDict([{ name: 'w', dtype: 'F32', shape: [3], data: Float32Array.of(1, Number.NaN, 2) }]);
  const coded = encodeModel(bad, () => ({ codec: 'runs' }), codecs);
  await expect(writeCodedModel(folder, 'm', coded, codecs)).rejects.toMatchObject({ code: 'non-finite' });
  await expect(writeSpool(coded, codecs, folder, 'm')).rejects.toMatchObject({ code: 'non-finite' });
  expect(await folder.list()).toEqual([]);
});

test('a changed or truncated coded file is a model or a clear error', async () => {
  const folder = memoryFolder();
  await writeCodedModel(folder, 'm', small(), codecs);
  const whole = await bytesOf(folder, 'm');
  const change = fc.tuple(fc.nat(whole.length - 1), fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('0129{}[]":,-'))));
  await fc.assert(
    fc.asyncProperty(
      fc.array(change, { minLength: 1, maxLength: 3 }),
      fc.option(fc.nat(whole.length), { freq: 4 }),
      async (changes, end) => {
        const bytes = Buffer.from(whole.subarray(0, end ?? whole.length));
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        await put(folder, 'x', bytes);
        try {
          await chunksOf(decodeModel(await openModelFile(folder, 'x', codecs), codecs));
        } catch (error) {
          expect(error).toBeInstanceOf(FedStreamError);
          expect(['bad-manifest', 'bad-tensor-file', 'unsupported', 'limit']).toContain((error as FedStreamError).code);
        }
      },
    ),
    { seed: 12, numRuns: 1_000 },
  );
});

test.each([
  ['says nothing of what it wrote', undefined],
  ['says that it wrote more than its bound', 1e9],
  ['says that it wrote half a byte', 0.5],
])('a codec that %s is detected', async (_, bytes) => {
  const lying: CodecTable = {
    ...codecs,
    runsRow: {
      ...runsRow,
      codec: (encoding) => ({ ...runsRow.codec(encoding), encode: () => ({ saturated: 0, ...(bytes && { bytes }) }) }),
    },
  };
  const model = memoryStateDict([{ name: 'w', dtype: 'F32', shape: [9], data: new Float32Array(9) }]);
  const writing = writeSpool(
    encodeModel(model, () => ({ codec: 'runs' }), lying),
    lying,
    memoryFolder(),
    'x',
  );
  await expect(writing).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining('codec runs reports') });
});
