// Pairs of factors by their names, and adapters at other ranks.
import { expect, test } from 'vitest';
import { besideFactor, factorOf, isMagnitude, loraPairs } from './lora-pairs.js';
import { withRank } from './lora-rank.js';
import { checkStack } from './lora-stack.js';
import { memoryStateDict } from './memory-state-dict.js';
import { stackedAdapter } from './stacked-adapter.js';
import type { StateDict } from './state-dict.js';
import { tensorValues } from './tensor-values.js';

const tensor = (name: string, shape: readonly number[], at = (i: number) => i + 1) => {
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => at(i));
  return { name, dtype: 'F32' as const, shape, data };
};
const dict = (...tensors: ReturnType<typeof tensor>[]): StateDict => memoryStateDict(tensors, { chunkElements: 4 });
const A = 'base_model.model.h.0.q.lora_A.weight';
const B = 'base_model.model.h.0.q.lora_B.weight';
const shapes = ({ manifest }: StateDict) => Object.fromEntries(manifest.tensors.map(({ name, shape }) => [name, shape]));

test.each([
  [A, 'A', 'base_model.model.h.0.q.stack_A.weight'],
  ['q.lora_B.default.weight', 'B', 'q.stack_B.default.weight'],
  ['wte.lora_embedding_A', 'A', 'wte.stack_embedding_A'],
  ['lora_B.weight', 'B', 'stack_B.weight'],
])('%s is a factor', (name, factor, beside) => {
  expect(factorOf(name)).toBe(factor);
  expect(besideFactor(name, 'stack')).toBe(beside);
});

test.each(['q.lora_B.bias', 'q.lora_magnitude_vector.weight', 'q.weight', 'lora_Ab.weight', 'xlora_A.weight'])('%s is none', (name) => {
  expect(factorOf(name)).toBeUndefined();
});

test('a magnitude vector of DoRA is known by its name', () => {
  expect(isMagnitude('base_model.model.q.lora_magnitude_vector.weight')).toBe(true);
  expect(isMagnitude('base_model.model.q.lora_magnitude.weight')).toBe(false);
});

test('pairs have the sides of their product, whatever the order of tensors', () => {
  const { manifest } = dict(
    tensor(B, [5, 2]),
    tensor('norm', [3]),
    tensor('c.lora_B.weight', [6, 2, 1, 1]),
    tensor(A, [2, 3]),
    tensor('c.lora_A.weight', [2, 4, 3, 3]),
  );
  expect(loraPairs(manifest)).toEqual([
    { a: A, b: B, rank: 2, inputs: 3, outputs: 5 },
    { a: 'c.lora_A.weight', b: 'c.lora_B.weight', rank: 2, inputs: 36, outputs: 6 },
  ]);
});

test.each([
  [[tensor(A, [2, 3])], /has no base_model.*lora_B\.weight beside it/],
  [[tensor(A, [2, 3]), tensor(B, [5, 3])], /are no factors of one product/],
  [[tensor(A, [6]), tensor(B, [5, 6])], /are no factors of one product/],
])('factors that fit no product are refused', (tensors, message) => {
  expect(() => loraPairs(dict(...tensors).manifest)).toThrow(message);
});

test('a smaller rank has the first directions, a larger one zeros behind them', async () => {
  const model = dict(tensor('norm', [6]), tensor(A, [3, 2]), tensor(B, [2, 3]));
  const small = withRank(model, 2, 10);
  expect(shapes(small)).toEqual({ norm: [6], [A]: [2, 2], [B]: [2, 2] });
  expect([...(await tensorValues(small, A))]).toEqual([1, 2, 3, 4]);
  expect([...(await tensorValues(small, B))]).toEqual([10, 20, 40, 50]);
  expect([...(await tensorValues(small, 'norm'))]).toEqual([1, 2, 3, 4, 5, 6]);
  const large = withRank(small, 4, 0.1);
  expect([...(await tensorValues(large, A))]).toEqual([1, 2, 3, 4, 0, 0, 0, 0]);
  expect([...(await tensorValues(large, B))].map((value) => Number(value.toFixed(6)))).toEqual([1, 2, 0, 0, 4, 5, 0, 0]);
});

test('chunks of a range are those of the whole', async () => {
  const model = withRank(dict(tensor('norm', [9]), tensor(A, [3, 2]), tensor(B, [4, 3])), 2);
  const all: number[][] = [];
  for await (const { bytes } of model.chunks()) all.push([...new Float32Array(bytes.slice().buffer)]);
  for (let first = 0; first < all.length; first++)
    for await (const { bytes, index } of model.chunks({ first, end: first + 1 }))
      expect([index, ...new Float32Array(bytes.slice().buffer)]).toEqual([first, ...(all[first] as number[])]);
});

const stack = (rows: readonly number[], columns: readonly number[]) =>
  dict(tensor(besideFactor(A, 'stack'), rows), tensor(besideFactor(B, 'stack'), columns));

test('a stack beside a weight has at most as many terms as that has rows or columns', () => {
  const { manifest } = dict(tensor(A, [2, 3]), tensor(B, [5, 2]));
  checkStack(stack([3, 3], [5, 3]).manifest, manifest);
  expect(() => checkStack(stack([4, 3], [5, 4]).manifest, manifest)).toThrow(/are no stack beside a weight of \[5, 3\]/);
  expect(() => checkStack(stack([2, 3], [5, 1]).manifest, manifest)).toThrow(/are no stack/);
  expect(() => checkStack(dict(tensor('other', [1])).manifest, manifest)).toThrow(/other of the stack belongs to no module/);
});

test('a stacked adapter has the scaled directions of both, and the scaling 1', async () => {
  const adapter = dict(tensor(A, [2, 3]), tensor(B, [5, 2]), tensor('x.lora_A.weight', [1, 3]), tensor('x.lora_B.weight', [5, 1]));
  const config = { r: 2, lora_alpha: 6, use_rslora: false, alpha_pattern: { x: 4 }, rank_pattern: { x: 1 }, task_type: 'CAUSAL_LM' };
  const { model, config: text } = stackedAdapter(adapter, stack([1, 3], [5, 1]), JSON.stringify(config));
  expect(JSON.parse(text)).toEqual({ ...config, r: 3, lora_alpha: 3, alpha_pattern: {}, rank_pattern: {} });
  expect(shapes(model)).toEqual({ [A]: [3, 3], [B]: [5, 3], 'x.lora_A.weight': [3, 3], 'x.lora_B.weight': [5, 3] });
  expect([...(await tensorValues(model, A))]).toEqual([1, 2, 3, 4, 5, 6, 1, 2, 3]);
  expect([...(await tensorValues(model, B))].slice(0, 6)).toEqual([3, 6, 3, 9, 12, 6]);
  expect([...(await tensorValues(model, 'x.lora_B.weight'))].slice(0, 6)).toEqual([4, 0, 0, 8, 0, 0]);
  expect(() => stackedAdapter(adapter, stack([1, 3], [5, 1]), '{"r":2}').model.chunks()).not.toThrow();
  await expect(tensorValues(stackedAdapter(adapter, stack([1, 3], [5, 1]), '{"r":2}').model, B)).rejects.toThrow(/has no lora_alpha/);
  const pattern = JSON.stringify({ ...config, alpha_pattern: { '(a+)+$': 4 } });
  await expect(tensorValues(stackedAdapter(adapter, stack([1, 3], [5, 1]), pattern).model, B)).rejects.toThrow(/names of modules alone/);
});
