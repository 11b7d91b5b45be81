// The bound on an update: a larger one is scaled down to it, a smaller one stays as it is, to the
// bit.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { referenceCodecs } from '../codec/codec-table.js';
import { chosen } from '../core/row.js';
import { chunkCount } from '../tensor/chunks.js';
import { memoryStateDict } from '../tensor/memory-state-dict.js';
import type { StateDict } from '../tensor/state-dict.js';
import { builtInFilters } from './built-in.js';
import { filterSpecsSchema } from './chain.js';
import { clip } from './clip.js';
import { applyFilters, type FilterContext, filteredManifest } from './filter.js';

const CHUNK = 64;

/** The share by which one rounding to float32 may increase a product. */
const ROUNDING = 1 + 2 ** -23;

function update(...tensors: readonly Float32Array[]): StateDict {
  const floats = tensors.map((data, index) => ({ name: `t${index}`, dtype: 'F32' as const, shape: [data.length], data }));
  const steps = { name: 'steps', dtype: 'I64' as const, shape: [2], data: BigInt64Array.of(2n ** 60n, -1n) };
  return memoryStateDict([...floats, steps], { chunkElements: CHUNK });
}

async function clippedTo(norm: number, of: StateDict) {
  const counts: Record<string, number> = {};
  const count = (name: string, amount: number): void => {
    counts[name] = (counts[name] ?? 0) + amount;
  };
  const context: FilterContext = { point: 'result-out', site: 'a', round: 1, codecs: referenceCodecs, count };
  return { model: await applyFilters(of, [clip(norm)], context), counts };
}

async function bytesOf(of: StateDict, range?: Parameters<StateDict['chunks']>[0]): Promise<Uint8Array> {
  const found: Uint8Array[] = [];
  for await (const { bytes } of of.chunks(range)) found.push(bytes.slice());
  return Buffer.concat(found);
}

async function floatsOf(of: StateDict): Promise<Float32Array> {
  const found: number[] = [];
  for await (const { tensor, bytes } of of.chunks()) if (tensor.dtype === 'F32') found.push(...new Float32Array(bytes.slice().buffer));
  return Float32Array.from(found);
}

const normOf = (values: Float32Array): number => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));

const values = fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { maxLength: 300 }).map((list) => Float32Array.from(list));
const bound = fc.double({ min: 1e-20, max: 1e20, noNaN: true });

test('over any update the norm is at most the bound, every value is scaled alike, and a small update stays to the bit', async () => {
  await fc.assert(
    fc.asyncProperty(values, values, bound, async (a, b, norm) => {
      const whole = update(a, b);
      const { model, counts } = await clippedTo(norm, whole);
      const [before, after] = [await floatsOf(whole), await floatsOf(model)];
      const length = normOf(before);
      // Values below the smallest normal float32 are rounded to multiples of the smallest
      // subnormal.
      expect(normOf(after)).toBeLessThanOrEqual(norm * ROUNDING + Math.sqrt(before.length) * 2 ** -149);
      const factor = Math.min(1, norm / length);
      for (const [i, value] of after.entries()) {
        const exact = (before[i] as number) * factor;
        // A factor below the smallest normal float32 is rounded down to a multiple of the smallest
        // subnormal.
        const slack = Math.abs(before[i] as number) * 2 ** -149 + 2 ** -149;
        expect(Math.abs(value - exact)).toBeLessThanOrEqual(Math.abs(exact) * 2 ** -22 + slack);
      }
      if (length <= norm * (1 - 1e-12)) expect(await bytesOf(model)).toEqual(await bytesOf(whole));
      expect(counts.clipped).toBe(length > norm ? 1 : 0);
      expect(Math.abs((counts.updateNorm as number) - length)).toBeLessThanOrEqual(length * 1e-12);
    }),
    { seed: 17, numRuns: 200 },
  );
});

test('3, 4 and 12 have the norm 13 over all tensors; a bound of 6.5 halves them; counters pass', async () => {
  const { model, counts } = await clippedTo(6.5, update(Float32Array.of(3, -4), Float32Array.of(12)));
  expect(await floatsOf(model)).toEqual(Float32Array.of(1.5, -2, 6));
  expect(counts).toEqual({ clipped: 1, updateNorm: 13 });
  const last = (await bytesOf(model)).slice(-16);
  expect(last).toEqual(Buffer.from(BigInt64Array.of(2n ** 60n, -1n).buffer));
});

test('the same bits whatever is read of it, in whatever order and how often; the norm is taken and counted once', async () => {
  const data = Float32Array.from({ length: 1000 }, (_, i) => (Math.imul(i + 1, 0x9e3779b1) >>> 0) / 2 ** 32 - 0.5);
  const whole = update(
    data,
    data.map((value) => value * 3),
  );
  let reads = 0;
  const watched: StateDict = {
    manifest: whole.manifest,
    chunks: (range) => {
      if (!range) reads++;
      return whole.chunks(range);
    },
  };
  const { model, counts } = await clippedTo(1, watched);
  const chunks = chunkCount(model.manifest);
  const parts = await Promise.all(Array.from({ length: chunks }, (_, first) => bytesOf(model, { first, end: first + 1 })));
  expect(reads).toBe(1);
  expect(Buffer.concat(parts)).toEqual(await bytesOf(model));
  expect(Buffer.concat(parts)).toEqual(await bytesOf((await clippedTo(1, whole)).model));
  expect(counts.clipped).toBe(1);
  expect(model.manifest).toEqual(filteredManifest(whole.manifest, [clip(1)]));
});

test.each([
  [Number.NaN, 'NaN'],
  [Number.NEGATIVE_INFINITY, '-Infinity'],
])('%s is refused by tensor and element, also behind the first chunk', async (value, name) => {
  const broken = new Float32Array(3 * CHUNK);
  broken[2 * CHUNK + 5] = value;
  const { model } = await clippedTo(1, update(new Float32Array(3), broken));
  await expect(bytesOf(model)).rejects.toMatchObject({
    code: 'non-finite',
    message: `the update of a: tensor t1 has ${name} at element ${2 * CHUNK + 5}; it is refused`,
  });
});

test('a job names it with its norm, which is above 0', () => {
  const schema = filterSpecsSchema(builtInFilters);
  const [choice] = schema.parse({ 'result-out': [{ type: 'clip', norm: 0.5 }] })['result-out'] ?? [];
  expect(chosen(builtInFilters, choice as { type: string })).toMatchObject({ on: 'update', bounds: true });
  for (const wrong of [{}, { norm: 0 }, { norm: -1 }, { norm: 1, by: 'layer' }])
    expect(schema.safeParse({ 'result-out': [{ type: 'clip', ...wrong }] }).success).toBe(false);
});
