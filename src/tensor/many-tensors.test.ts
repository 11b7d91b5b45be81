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
import { arrangeTensors, selectTensors } from './select-tensors.js';
import type { StateDict } from './state-dict.js';

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

/** The best of some tries, in milliseconds of this process, which no other process lengthens. */
async function bestMs(work: () => unknown): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < 6; turn++) {
    const started = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(started);
    best = Math.min(best, (user + system) / 1000);
  }
  return best;
}

const shared = new Float32Array(2 * MANY);

async function shardsOf(count: number): Promise<StateDict> {
  const folder = memoryFolder();
  await writeModel(folder, memoryStateDict(valuesOf(count)), count);
  return openModel(folder);
}

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
  [
    'shards are read tensor by tensor',
    (count) => {
      const opened = shardsOf(count);
      return async () => {
        const model = await opened;
        for (let index = 0; index < count; index++) for await (const _ of model.chunks(tensorRange(model.manifest, index)));
      };
    },
  ],
])('%s in time that grows with the tensors', async (_, workOf) => {
  await workOf(FEW)();
  expect(await bestMs(workOf(MANY))).toBeLessThan((await bestMs(workOf(FEW))) * MOST_RATIO);
});

/** The same model, with a count of its readings. */
function countedReadings(model: StateDict): { model: StateDict; readings: () => number } {
  let readings = 0;
  const chunks: StateDict['chunks'] = (range) => {
    readings++;
    return model.chunks(range);
  };
  return { model: { manifest: model.manifest, chunks }, readings: () => readings };
}

const valuesOf = (count: number) =>
  tensorsOf(count).map(({ name, dtype, shape }, i) => ({ name, dtype, shape, data: Float32Array.of(i, -i) }));

test('tensors that lie side by side are selected in one reading', async () => {
  const { model, readings } = countedReadings(memoryStateDict(valuesOf(100)));
  const kept = selectTensors(model, ({ name }) => name !== 'layers.50.weight');
  const found: number[] = [];
  for await (const { bytes, tensorIndex, tensor } of kept.chunks()) {
    expect(tensor.name).toBe(kept.manifest.tensors[tensorIndex]?.name);
    found.push(new Float32Array(bytes.slice().buffer)[0] as number);
  }
  expect(found).toEqual(Array.from({ length: 100 }, (_, i) => i).filter((i) => i !== 50));
  expect(readings()).toBe(2);
});

test('an empty tensor between others does not join what lies apart', async () => {
  const one = (name: string, value: number) => ({ name, dtype: 'F32' as const, shape: [1], data: Float32Array.of(value) });
  const empty = { name: 'empty', dtype: 'F32' as const, shape: [0], data: new Float32Array(0) };
  const model = memoryStateDict([one('a', 1), one('b', 2), one('c', 3), empty]);
  const like = memoryStateDict([one('a', 0), empty, one('c', 0)]);
  const found: [string, number][] = [];
  for await (const { tensor, bytes } of arrangeTensors(model, like.manifest).chunks())
    found.push([tensor.name, new Float32Array(bytes.slice().buffer)[0] as number]);
  expect(found).toEqual([
    ['a', 1],
    ['c', 3],
  ]);
});

test('a range of shards reads no shard outside of it', async () => {
  const folder = memoryFolder();
  await writeModel(folder, memoryStateDict(valuesOf(300)), 800);
  const model = await openModel(folder);
  for (const [first, end] of [
    [0, 300],
    [99, 101],
    [250, 251],
    [299, 400],
  ] as const) {
    const found: number[] = [];
    for await (const { bytes, index, tensorIndex } of model.chunks({ first, end })) {
      expect(index).toBe(tensorIndex);
      found.push(new Float32Array(bytes.slice().buffer)[0] as number);
    }
    expect(found).toEqual(Array.from({ length: Math.min(end, 300) - first }, (_, i) => first + i));
  }
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
