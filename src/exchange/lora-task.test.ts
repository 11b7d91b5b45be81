// Numbers of a task that give a site its part of an adapter: a server may say anything.
import { expect, test } from 'vitest';
import { referenceCodecs } from '../codec/codec-table.js';
import { memoryStateDict } from '../tensor/memory-state-dict.js';
import { ownRank } from './lora-task.js';

const model = memoryStateDict([
  { name: 'q.lora_A.weight', dtype: 'F32', shape: [4, 3], data: new Float32Array(12) },
  { name: 'q.lora_B.weight', dtype: 'F32', shape: [5, 4], data: new Float32Array(20) },
]);
const plain = memoryStateDict([{ name: 'w', dtype: 'F32', shape: [2], data: new Float32Array(2) }]);

test('a task without the numbers gives the model itself', () => {
  expect(ownRank(model, undefined, referenceCodecs)).toBe(model);
  expect(ownRank(plain, { mu: 1 }, referenceCodecs)).toBe(plain);
});

test('a task with a rank gives so many directions', () => {
  const { manifest } = ownRank(model, { 'lora.rank': 2 }, referenceCodecs);
  expect(manifest.tensors.map(({ shape }) => shape)).toEqual([
    [2, 3],
    [5, 2],
  ]);
});

test.each([
  [{ 'lora.rank': 0 }],
  [{ 'lora.rank': 5 }],
  [{ 'lora.rank': 1e9 }],
  [{ 'lora.rank': 1.5 }],
  [{ 'lora.rank': Number.NaN }],
  [{ 'lora.rank': 2, 'lora.scale': 0 }],
  [{ 'lora.rank': 2, 'lora.scale': -1 }],
  [{ 'lora.rank': 2, 'lora.scale': 1e-320 }],
])('%j is refused', (figures) => {
  expect(() => ownRank(model, figures, referenceCodecs)).toThrow(/directions of an adapter that has 4|scales products by/);
});

test('a rank of a model without an adapter is refused', () => {
  expect(() => ownRank(plain, { 'lora.rank': 1 }, referenceCodecs)).toThrow(/that has none/);
});
