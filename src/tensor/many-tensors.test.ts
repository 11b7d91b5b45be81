// Work over the tensors of a model grows with their number, and not with its square.
import { expect, test } from 'vitest';
import { memoryFolder } from '../core/memory-folder.js';
import { chunkPlaces, tensorRange } from './chunks.js';
import { CHUNK_ELEMENTS, type Manifest, RAW, type TensorEntry } from './manifest.js';
import { sameTensors } from './manifest-equality.js';
import { encodeManifest, parseManifest } from './manifest-json.js';
import { memoryStateDict } from './memory-state-dict.js';
import { openModel, writeModel } from './model-folder.js';
import { encodeHeader, HeaderReader } from './safetensors-header.js';

const FEW = 3_000;
const MANY = 30_000;
/** Ten times as many take some ten times as long, on a busy machine a few times that; the square is 100. */
const MOST_RATIO = 50;

function tensorsOf(count: number): TensorEntry[] {
  return Array.from({ length: count }, (_, i) => ({ name: `layers.${i}.weight`, dtype: 'F32', shape: [2], encoding: RAW }));
}

const manifestOf = (count: number): Manifest => ({ tensors: tensorsOf(count), chunkElements: CHUNK_ELEMENTS, tied: {}, metadata: {} });

/** Counts how often a tensor of the manifest is looked at. */
function counted(count: number): { manifest: Manifest; looks: () => number } {
  let looks = 0;
  const tensors = new Proxy(tensorsOf(count), {
    get: (target, key, receiver) => {
      looks++;
      return Reflect.get(target, key, receiver);
    },
  });
  return { manifest: { ...manifestOf(0), tensors }, looks: () => looks };
}

test('reading a model tensor by tensor looks at each a few times', () => {
  const looksOf = (count: number): number => {
    const { manifest, looks } = counted(count);
    for (let index = 0; index < count; index++)
      for (const place of chunkPlaces(manifest, tensorRange(manifest, index))) expect(place.tensorIndex).toBe(index);
    return looks();
  };
  expect(looksOf(MANY)).toBeLessThan(looksOf(FEW) * MOST_RATIO);
});

/** The best of some tries, in milliseconds. */
async function bestMs(work: () => unknown): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < 6; turn++) {
    const startedMs = performance.now();
    await work();
    best = Math.min(best, performance.now() - startedMs);
  }
  return best;
}

const shared = new Float32Array(2 * MANY);

test.each<[string, (count: number) => () => unknown]>([
  [
    'a manifest is parsed and compared',
    (count) => {
      const bytes = encodeManifest(manifestOf(count));
      return () => sameTensors(manifestOf(count), parseManifest(bytes, 'a peer'), 'a result');
    },
  ],
  [
    'a header is read',
    (count) => {
      const { bytes } = encodeHeader(tensorsOf(count), {});
      return () => {
        const reader = new HeaderReader('a file');
        reader.push(bytes.subarray(8));
        return reader.finish(8 * count);
      };
    },
  ],
  [
    'tensors over one buffer are joined to a model',
    (count) => {
      const tensors = tensorsOf(count).map(({ name, dtype, shape }, i) => ({
        name,
        dtype,
        shape,
        data: shared.subarray(2 * i, 2 * i + 2),
      }));
      return () => memoryStateDict(tensors);
    },
  ],
])('%s in time that grows with the tensors', async (_, workOf) => {
  await workOf(FEW)();
  expect(await bestMs(workOf(MANY))).toBeLessThan((await bestMs(workOf(FEW))) * MOST_RATIO);
});

test('shards of many tensors are read in their order', async () => {
  const folder = memoryFolder();
  const tensors = tensorsOf(3_000).map(({ name, dtype, shape }, i) => ({ name, dtype, shape, data: Float32Array.of(i, -i) }));
  await writeModel(folder, memoryStateDict(tensors), 8_000);
  const model = await openModel(folder);
  let index = 0;
  for await (const { bytes, tensorIndex } of model.chunks()) {
    expect(tensorIndex).toBe(index);
    expect(new Float32Array(bytes.slice().buffer)[0]).toBe(index++);
  }
  expect(index).toBe(3_000);
});

test.each([
  ['names inside names', '{"a":'.repeat(2_000_000)],
  ['lists inside lists', `{"a":${'['.repeat(5_000_000)}`],
])('a header of %s is refused at once', (_, text) => {
  const reader = new HeaderReader('a file');
  expect(() => reader.push(new TextEncoder().encode(text))).toThrow(
    expect.objectContaining({ code: 'bad-tensor-file', message: expect.stringMatching(/nested more than 3 deep/) }),
  );
});
