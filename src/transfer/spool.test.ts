// Objects and spools: the same bytes on the wire and in a file, readable from any offset, and
// refused if they lie.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { referenceCodecs } from '../codec/codec-table.js';
import { encodeModel } from '../codec/quantize.js';
import { FedStreamError } from '../core/errors.js';
import { memoryFolder } from '../core/memory-folder.js';
import type { Folder } from '../core/storage.js';
import { digestOf, LeafHasher } from '../stream/leaf-sums.js';
import { memoryStateDict } from '../tensor/memory-state-dict.js';
import type { StateDict } from '../tensor/state-dict.js';
import { objectBytes, objectSource } from './object.js';
import { openSpool, spoolInfo, spoolSource, writeSpool } from './spool.js';
import { TensorGrouper } from './tensor-grouper.js';

const codecs = referenceCodecs;

function small(): StateDict {
  const weights = Float32Array.of(1, -0.5, 0.25, 0);
  const tensors = [
    { name: 'w', dtype: 'F32', shape: [2, 2], data: weights },
    { name: 'n', dtype: 'I32', shape: [], data: Int32Array.of(7) },
    { name: 'e', dtype: 'F16', shape: [0], data: new Uint8Array(0) },
  ] as const;
  const model = memoryStateDict(tensors, { tied: { w2: 'w' } });
  return encodeModel(model, (tensor) => (tensor.name === 'w' ? { codec: 'bf16' } : { codec: 'raw' }), codecs);
}

/** A model with several chunks for some tensors, and tensors far smaller than a piece. */
function larger(): StateDict {
  const ramp = (length: number): Float32Array => new Float32Array(length).map((_, i) => Math.sin(i) * (i % 7));
  const tensors = [
    { name: 'a', dtype: 'F32' as const, shape: [50_000], data: ramp(50_000) },
    ...Array.from({ length: 30 }, (_, i) => ({ name: `n${i}`, dtype: 'F32' as const, shape: [i], data: ramp(i) })),
    { name: 'z', dtype: 'F32' as const, shape: [3, 11_111], data: ramp(33_333) },
  ];
  return encodeModel(memoryStateDict(tensors, { chunkElements: 16_384 }), () => ({ codec: 'nf4', nested: true }), codecs);
}

async function bytesOf(model: StateDict, offset = 0): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of objectSource(model, codecs).read(offset)) pieces.push(piece.slice());
  return Buffer.concat(pieces);
}

async function put(folder: Folder, name: string, bytes: Uint8Array): Promise<void> {
  const file = await folder.create(name);
  await file.write(bytes, 0);
  await file.close();
}

test('the bytes are those of docs/spec/spool.md', async () => {
  const bytes = await bytesOf(small());
  const manifest =
    '{"tensors":[{"name":"w","dtype":"F32","shape":[2,2],"encoding":{"codec":"bf16"}},' +
    '{"name":"n","dtype":"I32","shape":[],"encoding":{"codec":"raw"}},' +
    '{"name":"e","dtype":"F16","shape":[0],"encoding":{"codec":"raw"}}],"chunkElements":262144,"tied":{"w2":"w"},"metadata":{}}';
  expect(bytes.subarray(0, 16).toString('hex')).toBe(
    `46534f3101000000${Buffer.from(BigUint64Array.of(BigInt(manifest.length)).buffer).toString('hex')}`,
  );
  expect(bytes.subarray(16, 16 + manifest.length).toString()).toBe(manifest);
  expect(bytes.subarray(16 + manifest.length).toString('hex')).toBe('803f00bf803e0000' + '07000000');
  expect(objectBytes(small().manifest, codecs)).toBe(bytes.length);
});

test('a spool gives its model back, whole and by range', async () => {
  const folder = memoryFolder();
  const model = larger();
  const info = await writeSpool(model, codecs, folder, 'x');
  const whole = await bytesOf(model);
  const hasher = new LeafHasher();
  hasher.update(whole);
  expect(info).toMatchObject({ totalBytes: whole.length, digest: await digestOf(whole) });
  expect(info.sums.bytes).toEqual(hasher.finish().bytes);
  expect(await spoolInfo(folder, 'x')).toEqual(info);
  expect(await folder.list()).toEqual(['x']);
  const spooled = await openSpool(folder, 'x', codecs);
  expect(spooled.manifest).toEqual(model.manifest);
  for (const range of [undefined, { first: 0, end: 1 }, { first: 3, end: 20 }, { first: 34, end: 36 }, { first: 5, end: 5 }]) {
    const got = [];
    const expected = [];
    for await (const chunk of spooled.chunks(range)) got.push({ ...chunk, bytes: Buffer.from(chunk.bytes).toString('hex') });
    for await (const chunk of model.chunks(range)) expected.push({ ...chunk, bytes: Buffer.from(chunk.bytes).toString('hex') });
    expect(got).toEqual(expected);
  }
  await spooled.close?.();
});

test('an object is the same from every offset, coded anew or from its spool', async () => {
  const folder = memoryFolder();
  const model = larger();
  const info = await writeSpool(model, codecs, folder, 'x');
  const whole = await bytesOf(model);
  const head = whole.length - 1000;
  for (const offset of [
    0,
    1,
    15,
    16,
    17,
    900,
    head,
    head + 1,
    whole.length - 1,
    whole.length,
    ...Array.from({ length: 40 }, (_, i) => i * 1013),
  ]) {
    if (offset > whole.length) continue;
    expect(Buffer.compare(await bytesOf(model, offset), whole.subarray(offset))).toBe(0);
    const pieces: Uint8Array[] = [];
    for await (const piece of spoolSource(folder, 'x', info).read(offset)) pieces.push(piece.slice());
    expect(Buffer.compare(Buffer.concat(pieces), whole.subarray(offset))).toBe(0);
  }
});

test('a spool that was cut short, or goes on, is refused at every length', async () => {
  const folder = memoryFolder();
  const whole = await bytesOf(small());
  for (let size = 0; size < whole.length; size++) {
    await put(folder, 'x', whole.subarray(0, size));
    await expect(openSpool(folder, 'x', codecs)).rejects.toMatchObject({
      code: 'bad-manifest',
      message: expect.stringContaining('memory/x'),
    });
  }
  await put(folder, 'x', Buffer.concat([whole, Buffer.of(0)]));
  await expect(openSpool(folder, 'x', codecs)).rejects.toMatchObject({ code: 'bad-manifest' });
});

test('no damage makes a spool fail with anything but a clear error', async () => {
  const folder = memoryFolder();
  const whole = await bytesOf(small());
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), async (changes) => {
      const bytes = Buffer.from(whole);
      for (const [at, value] of changes) bytes[at] = value;
      await put(folder, 'x', bytes);
      try {
        const model = await openSpool(folder, 'x', codecs);
        for await (const _ of model.chunks());
      } catch (error) {
        expect(error).toBeInstanceOf(FedStreamError);
        expect(['bad-manifest', 'unsupported', 'limit']).toContain((error as FedStreamError).code);
      }
    }),
    { seed: 8, numRuns: 2_000 },
  );
});

test('the grouper gives prefix, manifest and tensors, however the bytes come', async () => {
  const model = larger();
  const whole = await bytesOf(model);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 20 }), (cuts) => {
      const grouper = new TensorGrouper(codecs, whole.length);
      const parts: Uint8Array[] = [];
      for (let at = 0, i = 0; at < whole.length; i++) {
        const size = cuts[i % cuts.length] as number;
        for (const part of grouper.push(whole.subarray(at, at + Math.max(size, 50)))) parts.push(part.bytes.slice());
        at += Math.max(size, 50);
      }
      grouper.finish();
      expect(parts.length).toBe(2 + model.manifest.tensors.length);
      expect(Buffer.compare(Buffer.concat(parts), whole)).toBe(0);
    }),
    { seed: 9, numRuns: 100 },
  );
  for (let size = 0; size < whole.length; size += 97) {
    const grouper = new TensorGrouper(codecs, whole.length);
    expect(() => {
      for (const _ of grouper.push(whole.subarray(0, size)));
      grouper.finish();
    }).toThrow(expect.objectContaining({ code: 'bad-manifest' }));
  }
});
