// A federation in one process, with a filter, an aggregator and a trainer of one's own. Run it: npx jiti federation.ts
import { type Aggregator, type Filter, kitWith, memoryStateDict, resultMean, row, runInMemory, sumModel } from 'fedstream';
import { z } from 'zod';

const vector = (data: Float32Array) => memoryStateDict([{ name: 'w', dtype: 'F32', shape: [4], data }]);

/** A filter: sends only a part of every update. */
const damp = row('damp', z.strictObject({ by: z.number().positive() }), ({ by }): Filter => {
  return { on: 'update', apply: (update, { codecs }) => sumModel({ addends: [{ model: update, weight: by }], codecs, what: 'update' }) };
});

/** An aggregator: half of the model that there was, half of the mean of the results. */
const halfway = row(
  'halfway',
  z.strictObject({}),
  (): Aggregator => (input) => {
    const addends = [input.previous, resultMean(input)].map((model) => ({ model, weight: 0.5 }));
    return sumModel({ addends, codecs: input.codecs, what: 'the model' });
  },
);

/** A trainer: one step of gradient descent towards the site's own target. */
const trainer = (target: number) => ({
  async train(_: unknown, model: ReturnType<typeof vector>) {
    let data = new Float32Array(4);
    for await (const { bytes } of model.chunks()) data = new Float32Array(bytes.slice().buffer);
    const trainLoss = (target - (data[0] as number)) ** 2;
    return { model: vector(data.map((value) => value + 0.5 * (target - value))), samples: 1, steps: 1, trainLoss };
  },
  evaluate: async () => undefined,
  close: async () => {},
});

const { model } = await runInMemory({
  job: { rounds: 8, quantize: 'u4', aggregator: 'halfway', filters: { 'result-out': [{ type: 'damp', by: 0.9 }] } },
  model: vector(new Float32Array(4)),
  trainers: { 'site-a': trainer(1), 'site-b': trainer(3) },
  kit: kitWith({ filters: [damp], aggregators: [halfway] }),
});
for await (const { bytes } of model.chunks()) process.stdout.write(`${new Float32Array(bytes.slice().buffer).join(' ')}\n`);
