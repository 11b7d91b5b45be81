// The way of a result out of a site: the order of its filters, its coding, its residual, and whole
// weights.
import { expect, test } from 'vitest';
import { referenceCodecs } from '../codec/codec-table.js';
import { inFloat32 } from '../codec/float32.js';
import { decodeModel } from '../codec/quantize.js';
import { memoryFolder } from '../core/memory-folder.js';
import type { Task } from '../exchange/task.js';
import type { Filter } from '../filter/filter.js';
import { checkedJob, type JobInput } from '../job/job.js';
import { memoryStateDict } from '../tensor/memory-state-dict.js';
import { splitDicts } from '../tensor/named-dicts.js';
import { openSafetensors } from '../tensor/safetensors.js';
import type { Chunk, StateDict } from '../tensor/state-dict.js';
import { narrowInto, widenInto } from '../tensor/widen.js';
import { openSpool, spoolInfo } from '../transfer/spool.js';
import { Residuals } from './residuals.js';
import { type ResultMessageOptions, resultMessage } from './result-message.js';

const SHAPES = { w: [64, 64], norm: [1500] } as const;

/** A pseudorandom number from 0 to 1, the same on every machine. */
const hash = (i: number, seed: number): number =>
  (Math.imul(Math.imul(i + 1, 0x9e3779b1) ^ (seed * 0x85ebca6b), 0xc2b2ae35) >>> 0) / 2 ** 32;

function model(seed: number, dtype: 'F32' | 'BF16' = 'F32', scale = 0.2): StateDict {
  const tensors = Object.entries(SHAPES).map(([name, shape]) => {
    const elements = shape.reduce((product: number, side) => product * side, 1);
    const values = Float32Array.from({ length: elements }, (_, i) => (hash(i, seed) - 0.5) * scale);
    return { name, dtype, shape, data: dtype === 'F32' ? values : narrowInto(dtype, values, new Uint8Array(2 * elements)) };
  });
  return memoryStateDict([...tensors, { name: 'steps', dtype: 'I64', shape: [1], data: BigInt64Array.of(BigInt(seed)) }]);
}

type Values = Record<string, Float32Array>;

async function valuesOf(of: StateDict): Promise<Values> {
  const found: Values = {};
  for await (const { tensor, bytes } of decodeModel(inFloat32(of), referenceCodecs).chunks())
    if (tensor.dtype === 'F32') found[tensor.name] = new Float32Array(bytes.slice().buffer);
  return found;
}

/** The values as a residual's file has them, in 16 bits. */
function rounded(values: Float32Array): Float32Array {
  return widenInto('BF16', narrowInto('BF16', values, new Uint8Array(2 * values.length)), new Float32Array(values.length));
}

/** The most that is lost of a residual in 16 bits. */
const LOST = 2 ** -9;

/** A filter that changes every float32 value of an update. */
function mapping(change: (value: number) => number, more: Partial<Filter> = {}): Filter {
  return {
    on: 'update',
    apply(update, context) {
      context.count('mapped', 1);
      async function* chunks(range?: Parameters<StateDict['chunks']>[0]): AsyncGenerator<Chunk> {
        for await (const chunk of update.chunks(range)) {
          if (chunk.tensor.dtype !== 'F32') yield chunk;
          else {
            const values = new Float32Array(chunk.bytes.slice().buffer).map(change);
            yield { ...chunk, bytes: new Uint8Array(values.buffer) };
          }
        }
      }
      return { manifest: update.manifest, chunks };
    },
    ...more,
  };
}

const halve = mapping((value) => value / 2);
const task = (round: number): Task => ({ id: `train-${round}`, kind: 'train', round, rounds: 9, evaluate: false });

/** A site that codes its results round after round. */
function site(job: JobInput, more: Partial<ResultMessageOptions> = {}) {
  const [spools, kept] = [memoryFolder('spools'), memoryFolder('kept')];
  const residuals = new Residuals(kept, 'run');
  const counts: Record<string, number> = {};
  const count = (name: string, amount: number): void => {
    counts[name] = (counts[name] ?? 0) + amount;
  };
  const parsed = checkedJob({ sites: ['a'], ...job }, 'test');
  const options = { job: parsed, site: 'a', codecs: referenceCodecs, residuals, count, ...more };
  const result = async (trained: StateDict, given: StateDict, round = 1) => {
    const message = await resultMessage(trained, given, { ...options, task: task(round) });
    if (typeof message !== 'function') return { sent: message, decoded: await valuesOf(message), residual: {} as Values, digest: '' };
    const name = `result-${round}`;
    await message({ folder: spools, name });
    const sent = await openSpool(spools, name, referenceCodecs);
    const hasKept = (await kept.list()).includes(`residual-${round}.safetensors`);
    const residual = hasKept ? await valuesOf(await openSafetensors(kept, `residual-${round}.safetensors`)) : ({} as Values);
    return { sent, decoded: await valuesOf(sent), residual, digest: (await spoolInfo(spools, name)).digest };
  };
  return { result, counts };
}

const names = ({ manifest }: StateDict): string[] => manifest.tensors.map(({ name }) => name);

test('what coding leaves over is kept in 16 bits, and added to the next update', async () => {
  const { result } = site({ quantize: 'u4' });
  const digests: string[] = [];
  for (const round of [1, 2, 3]) digests.push((await result(model(round), model(round + 10), round)).digest);
  expect(digests).toEqual(['7c432b3f1469d23ee76d05a1bbb35b50', '8f33006f2affa91446bd5637bd188a1a', 'a35538526ab64aa015018ea28f0e3567']);
});

test.each(['u4', 'nf4', 'u1', 'bf16'])(
  '%s: a filter that changes nothing changes no bit, over rounds of error feedback',
  async (quantize) => {
    const [plain, filtered] = [site({ quantize }), site({ quantize }, { siteFilters: [mapping((value) => value)] })];
    for (const round of [1, 2, 3]) {
      const [expected, found] = [plain, filtered].map((one) => one.result(model(round, 'BF16'), model(round + 10, 'BF16'), round));
      expect(await found).toEqual({ ...(await expected), sent: (await found)?.sent });
    }
  },
);

test('filters on the update see what training has changed, and what is kept back is of what they made', async () => {
  const { result } = site({ quantize: 'u4' }, { siteFilters: [halve] });
  const [trained, given] = [model(1), model(2)];
  const { decoded, residual } = await result(trained, given);
  const [t, g] = [await valuesOf(trained), await valuesOf(given)];
  const message = (t.w as Float32Array).map((value, i) => Math.fround(value - (g.w?.[i] as number)) / 2);
  expect(residual.w).toEqual(rounded(message.map((value, i) => value - (decoded.w?.[i] as number))));
});

test('the job’s filters come before those of the owner, and each counts for itself', async () => {
  const seen: string[][] = [];
  const looks = mapping((value) => value);
  const owner: Filter = {
    on: 'update',
    apply: (update, context) => {
      seen.push(names(update));
      return looks.apply(update, context);
    },
  };
  const notes: string[] = [];
  const filters: JobInput['filters'] = { 'result-out': [{ type: 'exclude', patterns: ['norm'] }] };
  const { result, counts } = site(
    { quantize: 'u4', filters },
    { siteFilters: [owner], note: (name, amount) => notes.push(`${name} ${amount}`) },
  );
  const { sent } = await result(model(1), model(2));
  expect(seen).toEqual([['w', 'steps']]);
  expect(names(sent)).toEqual(['w', 'steps']);
  expect(notes).toEqual(['mapped 1']);
  expect(counts).toEqual({});
});

test('a promised bound holds for what leaves, with the residual added; without the promise it does not', async () => {
  const most = 0.003;
  const clamp = (value: number): number => Math.max(-most, Math.min(most, value));
  const largest = async (bounds: boolean): Promise<number> => {
    const { result } = site({ quantize: 'u4' }, { siteFilters: [mapping(clamp, bounds ? { bounds: true } : {})] });
    let found = 0;
    for (const round of [1, 2, 3]) {
      const { decoded, residual } = await result(model(round, 'F32', 0.02), model(round + 10, 'F32', 0.02), round);
      for (const [i, value] of (decoded.w as Float32Array).entries()) {
        const kept = residual.w?.[i] ?? 0;
        found = Math.max(found, Math.abs(value + kept) - Math.abs(kept) * LOST);
      }
    }
    return found;
  };
  expect(await largest(true)).toBeLessThanOrEqual(most * (1 + 2 ** -20));
  expect(await largest(false)).toBeGreaterThan(most * 1.01);
});

test('clip: four bits, error feedback, and a norm that no message exceeds before it is coded; it is counted', async () => {
  const norm = 0.5;
  const filters: JobInput['filters'] = { 'result-out': [{ type: 'clip', norm }] };
  const normOf = (values: Values[]): number => {
    const all = Object.keys(SHAPES).flatMap((name) =>
      [...(values[0]?.[name] ?? [])].map((value, i) => value + (values[1]?.[name]?.[i] ?? 0)),
    );
    return Math.sqrt(all.reduce((sum, value) => sum + value * value, 0));
  };
  const { result, counts } = site({ quantize: 'u4', filters });
  for (const round of [1, 2, 3, 4]) {
    const { decoded, residual } = await result(model(round), model(round + 10), round);
    // Decoded values and residual together equal the message up to the last bit but one; vectors
    // travel in bfloat16.
    const message = normOf([decoded, residual]);
    expect(message).toBeLessThanOrEqual(norm * (1 + 2 ** -12) + normOf([residual]) * LOST);
    expect(message).toBeGreaterThan(norm * 0.98);
  }
  expect(counts.clipped).toBe(4);
  const [t, g] = [await valuesOf(model(1)), await valuesOf(model(11))];
  const difference = Object.fromEntries(
    Object.keys(SHAPES).map((name) => [name, (t[name] as Float32Array).map((value, i) => value - (g[name]?.[i] as number))]),
  );
  expect(counts.updateNorm).toBeGreaterThan(3 * normOf([difference]));
});

test.each(['u4', 'nf4-nested', 'blockwise8'])('%s: a clip that need not scale leaves every bit', async (quantize) => {
  const filters: JobInput['filters'] = { 'result-out': [{ type: 'clip', norm: 1e6 }] };
  const [plain, clipped] = [site({ quantize }), site({ quantize, filters })];
  for (const round of [1, 2]) {
    const [expected, found] = [plain, clipped].map((one) => one.result(model(round), model(round + 10), round));
    expect((await found)?.digest).toBe((await expected)?.digest);
    expect((await found)?.residual).toEqual((await expected)?.residual);
  }
});

test.each(['fp32', 'paper:bf16'])('%s: whole weights still travel, their update filtered', async (quantize) => {
  const [trained, given] = [model(1), model(2)];
  const { result } = site({ quantize }, { siteFilters: [halve] });
  const { sent, decoded } = await result(trained, given);
  expect(names(sent)).toEqual(['w', 'norm', 'steps']);
  const [t, g] = [await valuesOf(trained), await valuesOf(given)];
  const expected = (t.w as Float32Array).map((value, i) => (g.w?.[i] as number) + Math.fround(value - (g.w?.[i] as number)) / 2);
  if (quantize === 'fp32') expect(decoded.w).toEqual(expected);
  else for (const [i, value] of expected.entries()) expect(Math.abs((decoded.w?.[i] as number) - value)).toBeLessThan(2 ** -8 * 0.3);
});

test('whole weights without filters on the update are what the trainer returned, in its dtype', async () => {
  const { result } = site({ quantize: 'fp32' }, { siteFilters: [] });
  const trained = model(1, 'BF16');
  const { sent } = await result(trained, model(2, 'BF16'));
  expect(sent.manifest.tensors.map(({ encoding }) => encoding.codec)).toEqual(['bf16', 'bf16', 'raw']);
});

test('a job that makes an update of its own accord sends it filtered, and nothing is added', async () => {
  const filters: JobInput['filters'] = { 'result-out': [{ type: 'delta' }], 'result-in': [{ type: 'undelta' }] };
  const [trained, given] = [model(1), model(2)];
  const { result } = site({ quantize: 'fp32', filters }, { siteFilters: [halve] });
  const { decoded } = await result(trained, given);
  const [t, g] = [await valuesOf(trained), await valuesOf(given)];
  expect(decoded.w).toEqual((t.w as Float32Array).map((value, i) => Math.fround(value - (g.w?.[i] as number)) / 2));
});

test.each(['u4', 'fp32'])('%s: state dicts beside the model pass as they are', async (quantize) => {
  const { result } = site({ quantize }, { siteFilters: [halve], extras: { control: model(3) } });
  const dicts = splitDicts((await result(model(1), model(2))).sent);
  expect(Object.keys(dicts).sort()).toEqual(['control', 'model']);
  expect(await valuesOf(dicts.control as StateDict)).toEqual(await valuesOf(model(3)));
  const alone = await site({ quantize }, { siteFilters: [halve] }).result(model(1), model(2));
  expect(await valuesOf(dicts.model as StateDict)).toEqual(alone.decoded);
});

test('a result that does not fit what was given is refused by name, with and without filters', async () => {
  const other = memoryStateDict([{ name: 'w', dtype: 'F32', shape: [3], data: new Float32Array(3) }]);
  for (const siteFilters of [[], [halve]])
    await expect(site({ quantize: 'u4' }, { siteFilters }).result(other, model(2))).rejects.toMatchObject({
      code: 'bad-model',
      message: expect.stringMatching(/the result of a: w is F32 \[3\], the model has F32 \[64, 64\]/),
    });
});
