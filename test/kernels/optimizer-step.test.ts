// Steps of optimizers: the kernel gives the bits of its reference, for each rule, every length of a
// tail and values of every size; what is not finite is told by its place.
import { expect, test } from 'vitest';
import { requireFinite } from '../../src/codec/accumulate.js';
import type { CodecPool } from '../../src/codec/codec.js';
import { momentsOf, OPTIMIZER_RULES, type OptimizerRule, type OptimizerStep, optimizerStep } from '../../src/codec/optimizer-step.js';
import { randomStream } from '../../src/core/random.js';
import { nodeCodecPool } from '../../src/node/codec/codec-pool.js';

const random = randomStream(5, 'optimizer steps');

function rule(name: OptimizerRule['name'], more: Partial<OptimizerRule> = {}): OptimizerRule {
  return { name, rate: 0.7, keep: 0.99, beta1: 0.9, beta2: 0.99, tau: 1e-3, ...more };
}

/** Values of all sizes and signs, and zeros of both signs; no less than zero for a second moment. */
function values(length: number, positive = false): Float32Array {
  return Float32Array.from({ length }, () => {
    const size = 10 ** (random.integer(16) - 12) * (random.uniform() - (positive ? 0 : 0.5));
    return random.integer(20) === 0 ? 0 * size : size;
  });
}

function stepOf(of: OptimizerRule, length: number): { update: Float32Array; step: OptimizerStep } {
  const moments = momentsOf(of).map((which) => values(length, which === 'second'));
  return { update: values(length), step: { rule: of, model: values(length), moments } };
}

/** The same values in memory that the threads reach; for lengths that are no multiple of four too. */
function lent(pool: CodecPool, source: Float32Array): Float32Array {
  const bytes = pool.memory.borrow(Math.max(4, source.byteLength));
  const found = new Float32Array(bytes.buffer, bytes.byteOffset, source.length);
  found.set(source);
  return found;
}

const RULES = [...OPTIMIZER_RULES.map((name) => rule(name)), rule('adam', { beta1: 0 }), rule('adagrad', { beta1: 0, keep: 1 })];

test.each(RULES.map((of) => [`${of.name}, beta1 ${of.beta1}`, of] as const))(
  '%s: kernel and reference give the same bits',
  async (_, of) => {
    const pool = nodeCodecPool({ threads: 1 });
    for (const length of [1, 2, 3, 4, 5, 7, 8, 1021, 4096]) {
      const { update, step } = stepOf(of, length);
      const [sum, model, ...moments] = [update, step.model, ...step.moments].map((one) => lent(pool, one)) as [Float32Array, Float32Array];
      await pool.reduce([], sum, { rule: of, model, moments });
      expect(optimizerStep(update, step)).toBe(true);
      expect(model).toEqual(step.model);
      expect(moments).toEqual(step.moments);
    }
    await pool.close();
  },
);

test.each(OPTIMIZER_RULES)('%s: what is not finite is refused, with its place', async (name) => {
  const pool = nodeCodecPool({ threads: 1 });
  const { update, step } = stepOf(rule(name), 1001);
  update[998] = Number.POSITIVE_INFINITY;
  const [sum, model, ...moments] = [update, step.model, ...step.moments].map((one) => lent(pool, one)) as [Float32Array, Float32Array];
  await expect(pool.reduce([], sum, { rule: step.rule, model, moments })).rejects.toMatchObject({ index: 998 });
  expect(optimizerStep(update, step)).toBe(false);
  expect(() => requireFinite(step.model)).toThrow(/998/);
  await pool.close();
});

test('a moment that overflows is refused, although the model does not show it', async () => {
  const of = rule('adagrad', { beta1: 0 });
  const step = { rule: of, model: Float32Array.of(1, 2), moments: [Float32Array.of(1, 1)] };
  expect(optimizerStep(Float32Array.of(1, 1e30), step)).toBe(false);
  expect(step.model.every(Number.isFinite)).toBe(true);
});
