// The bound on norms: which results of a round are refused, and for what reason.
import { expect, test } from 'vitest';
import { checkAgainstModel, checkNorm, outliers } from './norm-bound.js';

function results(...norms: number[]) {
  return norms.map((model, index) => ({ site: `s${index}`, norms: { model } }));
}

const MODEL_NORM = async (): Promise<number> => 50;

async function refused(bound: number | 'off', ...norms: number[]): Promise<string[]> {
  return [...(await outliers(results(...norms), bound, MODEL_NORM)).keys()];
}

test('norms above the bound times the median are refused', async () => {
  expect(await refused(10, 1, 1.2, 12.5)).toEqual(['s2']);
  expect(await refused(10, 1, 1.2, 12)).toEqual([]);
  expect(await refused(10, 1e6, 1, 1e6, 1)).toEqual(['s0', 's2']);
  expect(await refused(2, 1, 1, 1, 3)).toEqual(['s3']);
  expect(await refused('off', 1, 1, 1e9)).toEqual([]);
});

test('two results say nothing about each other, and norms of 0 nothing about others', async () => {
  expect(await refused(10, 1, 1e9)).toEqual([]);
  expect(await refused(10, 0, 0, 5)).toEqual([]);
  expect(await refused(10, 0, 0, 0)).toEqual([]);
  expect(await refused(10, 0, 1, 1, 50)).toEqual(['s3']);
});

test('each extra is compared with those of its name', async () => {
  const all = [1, 1, 1].map((model, i) => ({ site: `s${i}`, norms: { model, control: i === 1 ? 1e5 : 100 } }));
  expect([...(await outliers(all, 10, MODEL_NORM))]).toEqual([
    ['s1', 'sent control of norm 100000, more than 10 times the median of the results (100); normBound in the job sets the bound'],
  ]);
});

test('no norm is taken of which a sum in float32 could overflow', () => {
  expect(() => checkNorm(1e18, 'x')).not.toThrow();
  expect(() => checkNorm(3e38, 'the result of x')).toThrow(
    'the result of x has the norm 3e+38; more than 1000000000000000000 is never taken',
  );
});

test('an update of a twentieth of its model is taken, however small the others are', async () => {
  expect(await refused(10, 0.001, 0.002, 2.5)).toEqual([]);
  expect(await refused(10, 0.001, 0.002, 2.6)).toEqual(['s2']);
});

test('an update is compared with its model where its values are large', async () => {
  let reads = 0;
  const check = (norm: number, model: number, bound: number | 'off' = 10) => {
    const modelNorm = async (): Promise<number> => {
      reads++;
      return model;
    };
    return checkAgainstModel({ norm, elements: 100, modelNorm }, bound, 'the result of x');
  };
  await check(100_000, 0.1);
  expect(reads).toBe(0);
  await expect(check(100_001, 0.1)).rejects.toMatchObject({
    code: 'bad-model',
    message: 'the result of x is an update of norm 100000, more than 10 times that of the model (0.1); normBound in the job sets the bound',
  });
  await check(100_001, 0);
  await check(100_001, 10_001);
  await check(1e9, 0.1, 'off');
});
