// Safetensors files: written and read back, whole and by range, and files that lie.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { memoryFolder } from '../core/memory-folder.js';
import type { Folder } from '../core/storage.js';
import { type MemoryTensor, memoryStateDict } from './memory-state-dict.js';
import { openModel, writeModel } from './model-folder.js';
import { openSafetensors, writeSafetensors } from './safetensors.js';
import type { StateDict } from './state-dict.js';

const CHUNK = 16_384;

async function bytesOf(model: StateDict): Promise<Record<string, number[]>> {
  const found: Record<string, number[]> = {};
  for await (const chunk of model.chunks()) found[chunk.tensor.name] = [...(found[chunk.tensor.name] ?? []), ...chunk.bytes];
  return found;
}

async function put(folder: Folder, name: string, bytes: Uint8Array): Promise<void> {
  const file = await folder.create(name);
  await file.write(bytes, 0);
  await file.close();
}

function header(json: unknown, dataBytes: number): Uint8Array {
  const text = new TextEncoder().encode(typeof json === 'string' ? json : JSON.stringify(json));
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

function tensors(): MemoryTensor[] {
  return [
    { name: 'a', dtype: 'F32', shape: [3, 7000], data: Float32Array.from({ length: 21_000 }, (_, i) => i) },
    { name: 'steps', dtype: 'I64', shape: [], data: BigInt64Array.of(42n) },
    { name: 'embed', dtype: 'F32', shape: [2], data: Float32Array.of(9, 8) },
    { name: 'mask', dtype: 'BOOL', shape: [3], data: Uint8Array.of(1, 0, 1) },
    { name: 'none', dtype: 'BF16', shape: [0, 4], data: new Uint8Array(0) },
  ];
}

test('a model is read back as it was written, tied tensors stored once', async () => {
  const folder = memoryFolder();
  const model = memoryStateDict(tensors(), { tied: { head: 'embed' }, chunkElements: CHUNK, metadata: { origin: 'test' } });
  expect(model.manifest.tied).toEqual({ head: 'embed' });
  await writeSafetensors(folder, 'm.safetensors', model);
  const read = await openSafetensors(folder, 'm.safetensors', { chunkElements: CHUNK });
  expect(read.manifest).toEqual({ ...model.manifest, metadata: { origin: 'test', format: 'pt' } });
  expect(await bytesOf(read)).toEqual(await bytesOf(model));
  expect(await folder.list()).toEqual(['m.safetensors']);
});

test('any range of chunks is what the whole has there', async () => {
  const folder = memoryFolder();
  await writeSafetensors(folder, 'm.safetensors', memoryStateDict(tensors(), { tied: { head: 'embed' }, chunkElements: CHUNK }));
  const model = await openSafetensors(folder, 'm.safetensors', { chunkElements: CHUNK });
  const all: { index: number; bytes: number[] }[] = [];
  for await (const chunk of model.chunks()) all.push({ index: chunk.index, bytes: [...chunk.bytes] });
  for (let first = 0; first < all.length; first++) {
    const part: typeof all = [];
    for await (const chunk of model.chunks({ first, end: first + 2 })) part.push({ index: chunk.index, bytes: [...chunk.bytes] });
    expect(part).toEqual(all.slice(first, first + 2));
  }
});

test('shards and their index hold the same model', async () => {
  const folder = memoryFolder();
  const model = memoryStateDict(tensors(), { tied: { head: 'embed' }, chunkElements: CHUNK });
  await writeModel(folder, model, 1000);
  expect(await folder.list()).toContain('model.safetensors.index.json');
  const read = await openModel(folder, { chunkElements: CHUNK });
  expect(read.manifest.tensors).toEqual(model.manifest.tensors);
  expect(read.manifest.tied).toEqual({ head: 'embed' });
  expect(await bytesOf(read)).toEqual(await bytesOf(model));
});

const f32 = (begin: number, end: number, shape = [1]) => ({ dtype: 'F32', shape, data_offsets: [begin, end] });

test.each<[string, Uint8Array, RegExp]>([
  ['nothing', new Uint8Array(3), /3 bytes: it is truncated/],
  ['a header longer than the file', header({}, 0).subarray(0, 9), /claims 2 bytes, and the file has 1/],
  ['a header of exabytes', Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 255, 0, 0), /at most 100000000/],
  ['no JSON', header('{"a":', 4), /not JSON/],
  ['no object', header('[1]', 0), /not a JSON object/],
  ['an unknown dtype', header({ a: { ...f32(0, 4), dtype: 'F99' } }, 4), /tensor a has the unknown dtype "F99"/],
  ['a negative side', header({ a: f32(0, 4, [-1]) }, 4), /tensor a has the shape \[-1\]/],
  ['a shape beyond 2^53', header({ a: f32(0, 4, [2 ** 40, 2 ** 40]) }, 4), /more than 2\^53/],
  ['a size that lies', header({ a: f32(0, 8) }, 8), /needs 4 bytes/],
  ['an overlap', header({ a: f32(0, 4), b: f32(2, 6) }, 6), /tensor b begins at 2, the one before it ends at 4/],
  ['a name twice', header(`{"a":${JSON.stringify(f32(0, 4))},"\\u0061":${JSON.stringify(f32(0, 4))}}`, 4), /has "a" twice/],
  ['a hole', header({ a: f32(0, 4), b: f32(8, 12) }, 12), /tensor b begins at 8/],
  ['data cut short', header({ a: f32(0, 4), b: f32(4, 8) }, 6), /truncated/],
  ['bytes behind the end', header({ a: f32(0, 4) }, 5), /longer than its header says/],
  ['metadata that is no text', header({ __metadata__: { a: 1 } }, 0), /__metadata__/],
])('%s is refused, file and fault named', async (_, bytes, message) => {
  const folder = memoryFolder('models');
  await put(folder, 'lie.safetensors', bytes);
  await expect(openSafetensors(folder, 'lie.safetensors')).rejects.toThrow(message);
  await expect(openSafetensors(folder, 'lie.safetensors')).rejects.toThrow('models/lie.safetensors');
});

test('random bytes are refused or read, never anything else', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), fc.json(), async (noise, json) => {
      const folder = memoryFolder();
      for (const bytes of [noise, header(json, noise.length)]) {
        await put(folder, 'x', bytes);
        await openSafetensors(folder, 'x').catch((error: { code: string }) => expect(error.code).toBe('bad-tensor-file'));
      }
    }),
  );
});

test('an index cannot name a shard outside the folder, nor place a tensor where it is not', async () => {
  const folder = memoryFolder();
  const index = (map: object) => new TextEncoder().encode(JSON.stringify({ weight_map: map }));
  await put(folder, 'model.safetensors.index.json', index({ a: '../secret' }));
  await expect(openModel(folder)).rejects.toThrow(/not a plain relative path/);
  await put(folder, 's.safetensors', header({ a: f32(0, 4) }, 4));
  await put(folder, 'model.safetensors.index.json', index({ a: 's.safetensors', b: 's.safetensors' }));
  await expect(openModel(folder)).rejects.toThrow(/lacks the tensor b/);
});
