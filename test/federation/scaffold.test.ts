// SCAFFOLD on two sites with conflicting data, against the algorithm by hand and against averaging.
import { expect, test } from 'vitest';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import { federate, type ScriptedSite, type Values, valuesOf } from './scripted.js';

const RATE = 0.1;
const STEPS = 8;
const SITES = { a: { scale: 1, target: 1 }, b: { scale: 3, target: -1 } };
const start = { w: new Float32Array(64 * 48).fill(0.5), norm: new Float32Array(1500).fill(0.25) };

const dictOf = (values: Values): StateDict =>
  memoryStateDict(Object.entries(values).map(([name, data]) => ({ name, dtype: 'F32', shape: name === 'w' ? [64, 48] : [1500], data })));
const mapped = (values: Values, change: (value: number, name: string, i: number) => number): Record<string, Float32Array> =>
  Object.fromEntries(Object.entries(values).map(([name, data]) => [name, data.map((value, i) => change(value, name, i))]));
const at = (values: Values | undefined, name: string, i: number): number => values?.[name]?.[i] ?? 0;

/**
 * Gradient descent on `scale / 2 × (w − target)²` with the control variates, option II of the
 * paper.
 */
function trained({ scale, target }: (typeof SITES)['a'], given: Values, control: Values | undefined, own: Values | undefined) {
  let model: Record<string, Float32Array> = { ...given };
  for (let step = 0; step < STEPS; step++) {
    model = mapped(model, (value, name, i) => value - RATE * (scale * (value - target) - at(own, name, i) + at(control, name, i)));
  }
  const after = mapped(given, (value, name, i) => at(own, name, i) - at(control, name, i) + (value - at(model, name, i)) / (STEPS * RATE));
  return { model, own: after, change: mapped(after, (value, name, i) => value - at(own, name, i)) };
}

function site(setting: (typeof SITES)['a'], controlled: boolean): ScriptedSite {
  let own: Values | undefined;
  return {
    learn: async (given, _round, task) => {
      const control = controlled ? await valuesOf(task?.extras?.control as StateDict) : undefined;
      const result = trained(setting, given, control, own);
      if (!controlled) return trained(setting, given, undefined, undefined).model;
      own = result.own;
      return { values: result.model, extras: { control: dictOf(result.change) } };
    },
  };
}

async function lossAfter(workflow: string, rounds: number, job = {}): Promise<number> {
  const sites = Object.fromEntries(Object.entries(SITES).map(([name, setting]) => [name, site(setting, workflow === 'scaffold')]));
  const { master } = await federate({ workflow, rounds, quantize: 'fp32', ...job }, sites, { start });
  const w = ((await master(rounds)).w as Float32Array)[7] as number;
  return Object.values(SITES).reduce((sum, { scale, target }) => sum + (scale / 2) * (w - target) ** 2, 0);
}

test('the first rounds equal those computed by hand', async () => {
  const sites = Object.fromEntries(Object.entries(SITES).map(([name, setting]) => [name, site(setting, true)]));
  const { master } = await federate({ workflow: 'scaffold', rounds: 3, quantize: 'fp32' }, sites, { start });
  let model: Values = start;
  let control: Values | undefined;
  const own: Record<string, Values | undefined> = {};
  for (let round = 1; round <= 3; round++) {
    const results = Object.entries(SITES).map(([name, setting]) => {
      const result = trained(setting, model, control, own[name]);
      own[name] = result.own;
      return result;
    });
    const before = control;
    control = mapped(model, (_, name, i) => at(before, name, i) + results.reduce((sum, { change }) => sum + at(change, name, i), 0) / 2);
    model = mapped(model, (_, name, i) => results.reduce((sum, result) => sum + at(result.model, name, i), 0) / 2);
    const found = await master(round).catch(() => undefined);
    if (found) for (const name of ['w', 'norm']) expect(at(found, name, 5)).toBeCloseTo(at(model, name, 5), 6);
  }
});

test('it reaches the common optimum, which averaging misses; with coded control variates, too', async () => {
  // The optimum is w = −0.5, with a loss of 1.5.
  const averaging = await lossAfter('fedAvg', 12);
  const controlled = await lossAfter('scaffold', 12);
  const coded = await lossAfter('scaffold', 12, { quantize: 'u4', extras: { control: { quantize: 'bf16' } } });
  expect(averaging).toBeGreaterThan(1.51);
  expect(controlled).toBeLessThan(1.5005);
  expect(coded).toBeLessThan(1.505);
});

test('a trainer without control variates is an error, which names what its result lacks', async () => {
  const sites = { a: site(SITES.a, true), b: site(SITES.b, false) };
  const { events } = await federate({ workflow: 'scaffold', rounds: 1, quorum: 1, quantize: 'fp32' }, sites, { start });
  expect(events.find(({ type }) => type === 'warning')).toMatchObject({
    message: 'round 1 goes on without b: the result of b lacks "control", which was asked for',
  });
});
