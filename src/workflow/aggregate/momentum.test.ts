// Server momentum, compared with the same steps by hand, for updates and for weights.
import { expect, test } from 'vitest';
import { referenceCodecs } from '../../codec/codec-table.js';
import { memoryStateDict } from '../../tensor/memory-state-dict.js';
import type { StateDict } from '../../tensor/state-dict.js';
import { mean } from './mean.js';
import { momentum } from './momentum.js';

const SIZE = 5000;
const model = (value: (i: number) => number, step = 3): StateDict =>
  memoryStateDict([
    { name: 'w', dtype: 'F32', shape: [SIZE], data: Float32Array.from({ length: SIZE }, (_, i) => value(i)) },
    { name: 'step', dtype: 'I64', shape: [1], data: BigInt64Array.of(BigInt(step)) },
  ]);

async function values(of: StateDict): Promise<Float32Array> {
  for await (const { tensor, bytes } of of.chunks()) if (tensor.name === 'w') return new Float32Array(bytes.slice().buffer);
  throw new Error('there is no w');
}

const previous = model(Math.sin, 2);
const changes = [(i: number) => 1e-3 * Math.cos(i), (i: number) => 1e-3 * Math.sin(2 * i)];
const updates = changes.map((change, site) => ({
  site: `s${site}`,
  samples: site + 1,
  model: model(change),
  isUpdate: true,
  base: previous,
}));
const f = Math.fround;
const keep = (): never => {
  throw new Error('nothing is kept before the model is read');
};

/** Runs two rounds with the same results and returns both models. */
async function twoRounds(options: { momentum: number; rate: number }, results = updates): Promise<Float32Array[]> {
  const found: Float32Array[] = [];
  let velocity: Float32Array | undefined;
  for (let round = 1; round <= 2; round++) {
    const state = velocity && { velocity: memoryStateDict([{ name: 'w', dtype: 'F32', shape: [SIZE], data: velocity }]) };
    const input = { results, previous, state: state ?? {}, codecs: referenceCodecs, integers: 'refuse', round, rounds: 2, keep } as const;
    const next = await momentum(options)(input);
    found.push(await values(next));
    for await (const made of next.together?.chunks() ?? []) if ('name' in made) velocity = new Float32Array(made.bytes.slice().buffer);
  }
  return found;
}

test('two rounds by hand', async () => {
  const w = await values(previous);
  const weights = [f(1 / 3), f(2 / 3)];
  const velocity = new Float32Array(SIZE);
  const expected: Float32Array[] = [];
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < SIZE; i++) {
      const gradient = f(
        f((weights[0] as number) * f(changes[0]?.(i) as number)) + f((weights[1] as number) * f(changes[1]?.(i) as number)),
      );
      velocity[i] = f(gradient + f(f(0.9) * (velocity[i] as number)));
    }
    expected.push(w.map((value, i) => f(value + f(0.5 * (velocity[i] as number)))));
  }
  expect(await twoRounds({ momentum: 0.9, rate: 0.5 })).toEqual(expected);
});

test('the order of results does not show', async () => {
  const options = { momentum: 0.9, rate: 0.5 };
  expect(await twoRounds(options, [...updates].reverse())).toEqual(await twoRounds(options));
});

test('whole weights give the same steps, but for the rounding of the model', async () => {
  const weights = updates.map(({ site, samples }, index) => {
    const change = changes[index] as (i: number) => number;
    return { site, samples, model: model((i) => f(Math.sin(i)) + f(change(i))), isUpdate: false, base: undefined as never };
  });
  const [, exact] = await twoRounds({ momentum: 0.9, rate: 0.5 });
  const [, found] = await twoRounds({ momentum: 0.9, rate: 0.5 }, weights);
  const off = (found as Float32Array).map((value, i) => Math.abs(value - (exact?.[i] as number)));
  expect(Math.max(...off)).toBeLessThan(1e-6);
});

test('without momentum and at rate 1 it is the mean', async () => {
  const input = { results: updates, previous, state: {}, codecs: referenceCodecs, integers: 'refuse', round: 1, rounds: 1, keep } as const;
  expect(await values(await momentum({ momentum: 0, rate: 1 })(input))).toEqual(await values(await mean(input)));
});
