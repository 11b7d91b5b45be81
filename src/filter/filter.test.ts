// Each filter by itself: its output, the manifest that it predicts, and the input that it refuses.
import { expect, test } from 'vitest';
import { referenceCodecs } from '../codec/codec-table.js';
import { encodeModel } from '../codec/quantize.js';
import { type Choice, chosen } from '../core/row.js';
import { RAW } from '../tensor/manifest.js';
import { memoryStateDict } from '../tensor/memory-state-dict.js';
import type { StateDict } from '../tensor/state-dict.js';
import { narrowInto } from '../tensor/widen.js';
import { builtInFilters } from './built-in.js';
import { delta, undelta } from './delta.js';
import { applyFilters, type Filter, type FilterContext, filteredManifest } from './filter.js';
import { quantize } from './quantize.js';
import { exclude, include } from './select.js';

const ELEMENTS = 3000;

function model(shift: number, dtype: 'F32' | 'BF16' = 'F32'): StateDict {
  const values = Float32Array.from({ length: ELEMENTS }, (_, i) => Math.sin(i * 12.9898 + shift) / 8);
  const data = dtype === 'F32' ? values : narrowInto('BF16', values, new Uint8Array(2 * ELEMENTS));
  return memoryStateDict(
    [
      { name: 'model.layers.0.w', dtype, shape: [50, 60], data },
      { name: 'model.norm', dtype: 'F32', shape: [4], data: Float32Array.of(1, 2, 3, shift) },
      { name: 'steps', dtype: 'I64', shape: [1], data: BigInt64Array.of(BigInt(shift)) },
    ],
    { chunkElements: 1024 },
  );
}

async function bytesOf(of: StateDict): Promise<Record<string, Uint8Array>> {
  const found: Record<string, number[]> = {};
  for await (const { tensor, bytes } of of.chunks()) {
    const all = found[tensor.name] ?? [];
    found[tensor.name] = all;
    for (const byte of bytes) all.push(byte);
  }
  return Object.fromEntries(Object.entries(found).map(([name, bytes]) => [name, Uint8Array.from(bytes)]));
}

async function floatsOf(of: StateDict, name = 'model.layers.0.w'): Promise<Float32Array> {
  const bytes = (await bytesOf(of))[name] as Uint8Array;
  return new Float32Array(bytes.buffer);
}

const inBf16 = (of: StateDict): StateDict => encodeModel(of, ({ dtype }) => (dtype === 'F32' ? { codec: 'bf16' } : RAW), referenceCodecs);

const counts = new Map<string, number>();
const context = (reference?: StateDict, point: FilterContext['point'] = 'result-out'): FilterContext => ({
  point,
  site: 'a',
  round: 1,
  codecs: referenceCodecs,
  ...(reference && { reference }),
  count: (name, amount) => counts.set(name, (counts.get(name) ?? 0) + amount),
});
const names = ({ manifest }: StateDict): string[] => manifest.tensors.map(({ name }) => name);

test('tensors are chosen by name, whatever they hold, and their bytes stay', async () => {
  const whole = model(1);
  const kept = await applyFilters(whole, [exclude(['*norm*'])], context());
  expect(names(kept)).toEqual(['model.layers.0.w', 'steps']);
  expect(await bytesOf(kept)).toEqual(Object.fromEntries(Object.entries(await bytesOf(whole)).filter(([name]) => name !== 'model.norm')));
  expect(names(await applyFilters(whole, [include(['model.**'])], context()))).toEqual(['model.layers.0.w', 'model.norm']);
});

test('a selection that leaves nothing is refused, and so is one without a pattern', async () => {
  await expect(applyFilters(model(1), [include(['nothing'])], context())).rejects.toMatchObject({
    code: 'bad-argument',
    message: 'the filter "include nothing" leaves no tensor; check its patterns against `fedstream inspect` of the model',
  });
  expect(() => exclude([])).toThrow(/needs at least one pattern/);
});

test('a delta is the difference in float32, and undelta gives the model back', async () => {
  const [trained, given] = [model(2), model(1)];
  const update = await applyFilters(trained, [delta()], context(given));
  const [a, b] = [await floatsOf(trained), await floatsOf(given)];
  expect(await floatsOf(update)).toEqual(a.map((value, i) => value - (b[i] as number)));
  expect((await bytesOf(update)).steps).toEqual((await bytesOf(trained)).steps);
  const back = await applyFilters(update, [undelta()], context(given, 'result-in'));
  expect(await floatsOf(back)).toEqual((await floatsOf(update)).map((value, i) => (b[i] as number) + value));
});

test('a delta of bfloat16 weights is not rounded to bfloat16; coded weights are decoded first', async () => {
  const [trained, given] = [model(2, 'BF16'), model(1, 'BF16')];
  const update = await applyFilters(trained, [delta()], context(given));
  expect(update.manifest.tensors[0]).toMatchObject({ dtype: 'F32', encoding: { codec: 'raw' } });
  const values = await floatsOf(update);
  expect(values.some((value) => new Uint32Array(Float32Array.of(value).buffer)[0] as number & 0xffff)).toBe(true);
  const coded = inBf16(model(2));
  const ofCoded = await floatsOf(await applyFilters(coded, [delta()], context(model(1, 'BF16'))));
  // The tensor is bfloat16 in both cases: once by its dtype, once by its encoding.
  expect(ofCoded).toEqual(values);
});

test('a delta of a part of the model is against that part; without what was given it is refused, but at the task points', async () => {
  const part = await applyFilters(model(2), [exclude(['*norm*']), delta()], context(model(1)));
  expect(names(part)).toEqual(['model.layers.0.w', 'steps']);
  await expect(applyFilters(model(1), [delta()], context())).rejects.toMatchObject({ code: 'internal' });
  const whole = model(1);
  expect(await applyFilters(whole, [delta()], context(undefined, 'task-out'))).toBe(whole);
});

test('quantize codes, dequantize decodes, and saturated values are counted', async () => {
  counts.clear();
  const large = memoryStateDict([{ name: 'w', dtype: 'F32', shape: [2, 2], data: Float32Array.of(1, 1e30, -1e30, 0.5) }]);
  const coded = await applyFilters(large, [quantize(() => ({ codec: 'fp16' }))], context());
  expect(coded.manifest.tensors[0]?.encoding).toEqual({ codec: 'fp16' });
  const table = [{ type: 'dequantize' }].map((choice) => chosen(builtInFilters, choice));
  expect(await floatsOf(await applyFilters(coded, table, context()), 'w')).toEqual(Float32Array.of(1, 65504, -65504, 0.5));
  expect(Object.fromEntries(counts)).toEqual({ saturated: 2 });
});

const every: readonly Choice[] = [
  { type: 'exclude', patterns: ['*norm*'] },
  { type: 'include', patterns: ['model.**'] },
  { type: 'delta' },
  { type: 'undelta' },
  { type: 'quantize', codec: 'nf4' },
  { type: 'dequantize' },
];

test.each(every)('$type: the manifest alone tells what comes out, from raw, bfloat16 and coded tensors', async (choice) => {
  const filter: Filter = chosen(builtInFilters, choice);
  const coded = inBf16(model(2));
  for (const input of [model(2), model(2, 'BF16'), coded]) {
    const before = await bytesOf(input);
    const filtered = await applyFilters(input, [filter], context(model(1)));
    expect(filtered.manifest).toEqual(filteredManifest(input.manifest, [filter]));
    // Two readings give the same bytes, and the input is unchanged.
    expect(await bytesOf(filtered)).toEqual(await bytesOf(filtered));
    expect(await bytesOf(input)).toEqual(before);
  }
});

test('filters work from left to right, and one on the update is given it raw, in float32', async () => {
  const seen: string[] = [];
  const looks: Filter = {
    on: 'update',
    apply: (update) => {
      seen.push(...update.manifest.tensors.map(({ dtype, encoding }) => `${dtype} ${encoding.codec}`));
      return update;
    },
  };
  await applyFilters(model(1, 'BF16'), [exclude(['steps']), quantize(() => ({ codec: 'nf4', blockSize: 64 })), looks], context());
  expect(seen).toEqual(['F32 raw', 'F32 raw']);
});
