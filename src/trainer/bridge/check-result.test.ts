// Results of programs: names, dtypes and shapes that do not fit, and the two halves of a tie.
import { expect, test } from 'vitest';
import type { Dtype } from '../../tensor/dtype.js';
import { memoryStateDict } from '../../tensor/memory-state-dict.js';
import { narrowInto } from '../../tensor/widen.js';
import { checkTies, fittingResult } from './check-result.js';

const f32 = (name: string, ...values: number[]) => ({
  name,
  dtype: 'F32' as Dtype,
  shape: [values.length],
  data: Float32Array.from(values),
});
const bf16 = (name: string, ...values: number[]) => ({
  name,
  dtype: 'BF16' as Dtype,
  shape: [values.length],
  data: narrowInto('BF16', Float32Array.from(values), new Uint8Array(2 * values.length)),
});
const GIVEN = memoryStateDict([f32('embed', 1, 2), f32('w', 3)], { tied: { head: 'embed' } }).manifest;

test('one error names the first few tensors that do not fit', () => {
  const names = Array.from({ length: 5 }, (_, i) => `module.t${i}`);
  const result = memoryStateDict([...names.map((name) => f32(name, 1)), f32('w', 1, 2)]);
  expect(() => fittingResult(result, GIVEN, 'the trainer "own"')).toThrow(
    'the result of the trainer "own" does not fit the model that it was given: it lacks embed; it has, beyond the model, module.t0, module.t1, module.t2 and 2 more; w is F32 [2] instead of F32 [1]',
  );
});

test('both names of a tied tensor may come back with the same values, in other dtypes too', async () => {
  for (const head of [f32('head', 5, 6), bf16('head', 5, 6)]) {
    const result = memoryStateDict([f32('w', 1), head, f32('embed', 5, 6)]);
    const fitting = fittingResult(result, GIVEN, 'p');
    expect(fitting.manifest.tensors.map(({ name }) => name)).toEqual(['embed', 'w']);
    await expect(checkTies(result, GIVEN, 'p')).resolves.toBeUndefined();
  }
  await expect(checkTies(memoryStateDict([f32('w', 1), f32('embed', 5, 6)]), GIVEN, 'p')).resolves.toBeUndefined();
});

test.each([
  ['other values', f32('head', 5, 7)],
  ['another shape', f32('head', 5)],
  ['another kind of number', { name: 'head', dtype: 'I32' as Dtype, shape: [2], data: Int32Array.of(5, 6) }],
])('a tie whose halves come back with %s is refused by both names', async (_, head) => {
  const result = memoryStateDict([f32('w', 1), head, f32('embed', 5, 6)]);
  await expect(checkTies(result, GIVEN, 'the trainer "own"')).rejects.toMatchObject({
    code: 'trainer',
    message: expect.stringMatching(/the trainer "own" returns head with other values than embed.*one tensor under two names/),
  });
});
