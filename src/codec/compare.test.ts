// Comparison of two models: figures by their definitions, and models that do not match.
import { expect, test } from 'vitest';
import type { Dtype } from '../tensor/dtype.js';
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

test('float64, integers and floats of 8 bits are compared as numbers', async () => {
  const one = (dtype: Dtype, data: ArrayBufferView, count: number) => ({ name: 'x', dtype, shape: [count], data });
  const [double] = await compared([one('F64', Float64Array.of(1, 1e300), 2)], [one('F64', Float64Array.of(1 + 2 ** -40, 1e300), 2)]);
  expect(double).toMatchObject({ maxError: 2 ** -40, mse: 2 ** -81 });
  const [wide] = await compared([f32('x', 1, 2)], [one('F64', Float64Array.of(1, 2.5), 2)]);
  expect(wide).toMatchObject({ maxError: 0.5, mse: 0.125 });
  const [count] = await compared([one('I64', BigInt64Array.of(-3n, 256n), 2)], [one('I64', BigInt64Array.of(-3n, 255n), 2)]);
  expect(count).toMatchObject({ maxError: 1, mse: 0.5 });
  const [tiny] = await compared([one('F8_E4M3', Uint8Array.of(0x38, 0xb8), 2)], [one('F8_E5M2', Uint8Array.of(0x3c, 0xc0), 2)]);
  expect(tiny).toMatchObject({ maxError: 1, mse: 0.5 }); // 1 and −1 against 1 and −2
});

test('models are read once, in whatever order the second has its tensors', async () => {
  const names = Array.from({ length: 50 }, (_, i) => `t${i}`);
  const counted = (order: readonly string[]) => {
    let readings = 0;
    const model = memoryStateDict(order.map((name) => f32(name, Number(name.slice(1)))));
    const chunks: typeof model.chunks = (range) => {
      readings++;
      return model.chunks(range);
    };
    return { model: { manifest: model.manifest, chunks }, readings: () => readings };
  };
  const [a, b] = [counted(names), counted([...names.slice(25), ...names.slice(0, 25)])];
  let rows = 0;
  for await (const { name, maxError } of compareModels(a.model, b.model)) {
    expect([name, maxError]).toEqual([names[rows], 0]);
    rows++;
  }
  expect([rows, a.readings(), b.readings()]).toEqual([50, 1, 2]);
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
