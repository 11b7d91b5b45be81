// The built-in trainer in parts: the same steps as in rounds, on from a kept state with the same bits,
// and the mix of a merge.
import { expect, test } from 'vitest';
import { copied } from '../../src/tensor/copied.js';
import { partsOf } from '../../src/tensor/model-parts.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import type { PartsStart, PartsTask, TrainedPart } from '../../src/trainer/trainer.js';
import { inMemory, tensorsOf, tinyEngine, tinyModel, tinyTrainer } from './tiny.js';

const ROUNDS = 3;

interface Trained {
  readonly sent: Map<number, Map<string, Float32Array>>;
  readonly states: Map<number, StateDict>;
  readonly steps: number[];
}

/** Trains in parts; each part that was sent is merged as it was, with 1 added. */
async function inParts(plan: PartsTask['plan'], start: PartsStart, done = 0, before: Trained['sent'] = new Map()): Promise<Trained> {
  const trainer = await tinyTrainer({ localSteps: 4 });
  const trained: Trained = { sent: new Map(before), states: new Map(), steps: [] };
  const models = new Map<number, StateDict>();
  for (const [segment, values] of before) models.set(segment, await inMemory(await tinyModelOf(values), (value) => value));
  const parts = partsOf((await tinyModel()).manifest, plan.of);
  await trainer.trainParts?.(
    {
      round: 1,
      rounds: ROUNDS,
      signal: new AbortController().signal,
      plan,
      parts,
      done,
      onStep: ({ step }) => trained.steps.push(step),
      async send({ segment, model, state }: TrainedPart) {
        trained.sent.set(segment, await tensorsOf(model));
        models.set(segment, model);
        if (state) trained.states.set(segment, await copied(state));
      },
      merge: async (segment) => inMemory(models.get(segment) as StateDict, (value) => value + plan.of - 1),
    },
    start,
  );
  await trainer.close();
  return trained;
}

async function tinyModelOf(values: Map<string, Float32Array>): Promise<StateDict> {
  const whole = await tinyModel();
  const { memoryStateDict } = await import('../../src/tensor/memory-state-dict.js');
  const entries = whole.manifest.tensors.filter(({ name }) => values.has(name));
  return memoryStateDict(entries.map(({ name, dtype, shape }) => ({ name, dtype, shape, data: values.get(name) as Float32Array })));
}

test('one part, merged as it was sent, is the training in rounds', async () => {
  const { sent, steps } = await inParts({ of: 1, overlap: 0, alpha: 0 }, { kind: 'model', dict: await tinyModel() });
  const trainer = await tinyTrainer({ localSteps: 4 });
  let model = await tinyModel();
  for (let round = 1; round <= ROUNDS; round++) {
    const task = { round, rounds: ROUNDS, signal: new AbortController().signal, onStep: () => {} };
    model = await inMemory((await trainer.train(task, model)).model);
    expect(sent.get(round)).toEqual(await tensorsOf(model));
  }
  expect(steps).toEqual(Array.from({ length: 4 * ROUNDS }, (_, i) => i + 1));
  await trainer.close();
});

test.each([0, 1, 2])('it goes on from a kept state with the same bits, overlap %d', async (overlap) => {
  const plan = { of: 2, overlap, alpha: 0.5 };
  const whole = await inParts(plan, { kind: 'model', dict: await tinyModel() });
  expect([...whole.states.keys()]).toEqual([2, 4, 6]);
  const before = new Map([...whole.sent].filter(([segment]) => segment <= 2));
  const rest = await inParts(plan, { kind: 'state', dict: whole.states.get(2) as StateDict }, 2, before);
  expect(rest.steps).toEqual([5, 6, 7, 8, 9, 10, 11, 12]);
  expect(rest.sent).toEqual(whole.sent);
});

test('a merge mixes in float32, and takes the given values to the bit where alpha is 0', async () => {
  const engine = await tinyEngine();
  await engine.load(await tinyModel(1));
  const [own, given] = [await tensorsOf(await tinyModel(1)), await tensorsOf(await tinyModel(2))];
  await engine.merge(await tinyModel(2), 0.25);
  const mixed = await tensorsOf(engine.weights());
  for (const [name, values] of mixed)
    values.forEach((value, i) => {
      expect(value).toBe(Math.fround(Math.fround(0.25 * (own.get(name)?.[i] ?? 0)) + Math.fround(0.75 * (given.get(name)?.[i] ?? 0))));
    });
  await engine.merge(await tinyModel(2), 0);
  expect(await tensorsOf(engine.weights())).toEqual(given);
  await engine.close();
});

test('a plan that the steps of a round cannot have is refused', async () => {
  const start = { kind: 'model', dict: await tinyModel() } as const;
  await expect(inParts({ of: 2, overlap: 3, alpha: 0 }, start)).rejects.toMatchObject({ code: 'bad-job' });
});
