// State dicts joined and split again: names, chunks by range, and lists that lie.
import { expect, test } from 'vitest';
import { memoryStateDict } from './memory-state-dict.js';
import { joinDicts, splitDicts } from './named-dicts.js';
import type { ChunkRange, StateDict } from './state-dict.js';

const CHUNK = 16_384;
const dict = (names: readonly string[], elements: number, metadata = {}): StateDict =>
  memoryStateDict(
    names.map((name, index) => ({
      name,
      dtype: 'F32' as const,
      shape: [elements],
      data: Float32Array.from({ length: elements }, (_, i) => index * 1e6 + i),
    })),
    { chunkElements: CHUNK, metadata },
  );

async function listed(model: StateDict, range?: ChunkRange) {
  const found: [string, number, number, number, number][] = [];
  for await (const { tensor, tensorIndex, index, firstElement, bytes } of model.chunks(range))
    found.push([tensor.name, tensorIndex, index, firstElement, new Float32Array(bytes.slice().buffer)[0] as number]);
  return found;
}

const model = dict(['w', 'b'], 40_000, { note: 'of the model' });
const control = dict(['w', 'b'], 20_000, { note: 'of the control' });
const empty = dict([], 0);

test('a model alone is itself', () => {
  expect(joinDicts({ model })).toBe(model);
  expect(splitDicts(model)).toEqual({ model });
});

test('what was joined comes apart as it was, in any range', async () => {
  const joined = joinDicts({ empty, control, model });
  expect(joined.manifest.tensors.map(({ name }) => name)).toEqual(['w', 'b', '@control/w', '@control/b']);
  const parts = splitDicts(joined);
  expect(Object.keys(parts)).toEqual(['model', 'control', 'empty']);
  expect(parts.model?.manifest).toEqual(model.manifest);
  expect(parts.control?.manifest).toEqual(control.manifest);
  for (const range of [undefined, { first: 0, end: 1 }, { first: 1, end: 3 }, { first: 3, end: 9 }, { first: 4, end: 4 }]) {
    expect(await listed(parts.model as StateDict, range)).toEqual(await listed(model, range));
    expect(await listed(parts.control as StateDict, range)).toEqual(await listed(control, range));
    expect(await listed(parts.empty as StateDict, range)).toEqual([]);
  }
  expect(await listed(joined, { first: 5, end: 8 })).toEqual([
    ['b', 1, 5, 32_768, 1e6 + 32_768],
    ['@control/w', 2, 6, 0, 0],
    ['@control/w', 2, 7, 16_384, 16_384],
  ]);
});

test('extras without a model', async () => {
  const parts = splitDicts(joinDicts({ control }));
  expect(Object.keys(parts)).toEqual(['control']);
  expect(await listed(parts.control as StateDict)).toEqual(await listed(control));
});

test.each([
  ['a name that leaves its place', { '../x': control }, /an extra named "\.\.\/x"/],
  ['nothing', {}, /at least one/],
  [
    'chunks of another size',
    { model, x: memoryStateDict([{ name: 'a', dtype: 'F32', shape: [1], data: new Float32Array(1) }]) },
    /chunks of/,
  ],
  ['too many', Object.fromEntries(Array.from({ length: 18 }, (_, i) => [`x${i}`, control])), /at most 16/],
])('%s cannot be joined', (_, dicts, message) => {
  expect(() => joinDicts(dicts as Record<string, StateDict>)).toThrow(message);
});

test.each([
  ['no JSON', '{', /cannot be read/],
  ['more tensors than there are', JSON.stringify([{ name: 'model', tensors: 3, metadata: {} }]), /not that of its 4 tensors/],
  [
    'tensors of another',
    JSON.stringify([
      { name: 'model', tensors: 1, metadata: {} },
      { name: 'control', tensors: 3, metadata: {} },
    ]),
    /tensor b stands among/,
  ],
  ['a name twice', JSON.stringify([2, 2].map((tensors) => ({ name: 'model', tensors, metadata: {} }))), /not that of/],
])('a list with %s is refused', (_, list, message) => {
  const joined = joinDicts({ model, control });
  const manifest = { ...joined.manifest, metadata: { 'fedstream.dicts': list } };
  expect(() => splitDicts({ ...joined, manifest })).toThrow(message);
});
