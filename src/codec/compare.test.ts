// Comparison of two models: figures by their definitions, and models that do not match.
import { expect, test } from 'vitest';
import { memoryStateDict } from '../tensor/memory-state-dict.js';
import { parseCodecName } from './codec-name.js';
import { referenceCodecs } from './codec-table.js';
import { compareAll, compareModels } from './compare.js';
import { codedSize } from './sizes.js';

const f32 = (name: string, ...values: number[]) => ({
  name,
  dtype: 'F32' as const,
  shape: [values.length],
  data: Float32Array.from(values),
});

async function compared(a: Parameters<typeof memoryStateDict>[0], b: Parameters<typeof memoryStateDict>[0]) {
  const rows = [];
  for await (const row of compareModels(memoryStateDict(a), memoryStateDict(b))) rows.push(row);
  return rows;
}

test('figures are those of their definitions', async () => {
  const rows = await compared([f32('x', 3, 4), f32('y', 1, 1)], [f32('y', 1, 1), f32('x', 3, 4.5)]);
  expect(rows[0]).toMatchObject({ name: 'x', elements: 2, mse: 0.125, maxError: 0.5, relativeL2: 0.1 });
  expect(rows[0]?.snrDb).toBeCloseTo(20, 10);
  expect(rows[1]).toMatchObject({ mse: 0, maxError: 0, relativeL2: 0, snrDb: Number.POSITIVE_INFINITY });
  expect(compareAll(rows)).toMatchObject({ elements: 4, mse: 0.0625, maxError: 0.5 });
});

test('other names and shapes are named', async () => {
  await expect(compared([f32('x', 1)], [f32('y', 1)])).rejects.toThrow(/lacks the tensor x/);
  await expect(compared([f32('x', 1)], [f32('x', 1), f32('y', 1)])).rejects.toThrow(/has the tensor y/);
  await expect(compared([f32('x', 1)], [f32('x', 1, 2)])).rejects.toThrow(/x is \[1\] in one model, \[2\] in the other/);
});

test('a NaN shows', async () => {
  const [row] = await compared([f32('x', 1, 2, 3)], [f32('x', 1, Number.NaN, 4)]);
  expect(row?.mse).toBeNaN();
  expect(row?.maxError).toBeNaN();
});

test('sizes add up to what is sent', () => {
  const manifest = memoryStateDict([f32('x', ...new Array(1000).fill(1))]).manifest;
  expect(codedSize(manifest, parseCodecName('nf4', referenceCodecs), referenceCodecs)).toEqual({
    codeBytes: 500,
    scaleBytes: 64,
    mapBytes: 64,
  });
  expect(codedSize(manifest, parseCodecName('nf4-nested', referenceCodecs), referenceCodecs)).toEqual({
    codeBytes: 500,
    scaleBytes: 24,
    mapBytes: 1088,
  });
  expect(codedSize(manifest, parseCodecName('blockwise8', referenceCodecs), referenceCodecs)).toEqual({
    codeBytes: 1000,
    scaleBytes: 4,
    mapBytes: 1024,
  });
  expect(codedSize(manifest, parseCodecName('bf16', referenceCodecs), referenceCodecs)).toEqual({
    codeBytes: 2000,
    scaleBytes: 0,
    mapBytes: 0,
  });
  expect(codedSize(manifest, parseCodecName('fp32', referenceCodecs), referenceCodecs)).toEqual({
    codeBytes: 4000,
    scaleBytes: 0,
    mapBytes: 0,
  });
});
