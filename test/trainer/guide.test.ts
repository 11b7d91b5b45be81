// FedProx and SCAFFOLD in the built-in trainer: against plain references, on any number of threads,
// and over restarts.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { memoryFolder } from '../../src/core/memory-folder.js';
import { randomStream } from '../../src/core/random.js';
import type { Folder } from '../../src/core/storage.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import { openSafetensors } from '../../src/tensor/safetensors.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import type { Batch } from '../../src/trainer/llama/batch.js';
import type { GuideOptions, LlamaEngine } from '../../src/trainer/llama/engine.js';
import type { Program } from '../../src/trainer/llama/forward.js';
import { guideGradients, layOutGuide, referenceGuided } from '../../src/trainer/llama/guide.js';
import { instantiateKernels } from '../../src/trainer/llama/kernels.js';
import { inMemory, TINY, tensorsOf, tinyEngine, tinyModel, tinyTask, tinyTrainer } from './tiny.js';

function batchOf(seed: number): Batch {
  const random = randomStream(seed, 'batch');
  const tokens = Int32Array.from({ length: 16 }, () => random.integer(TINY.vocabularySize));
  return { tokens, targets: tokens.map(() => random.integer(TINY.vocabularySize)), batch: 2, sequence: 8 };
}

/** Does some steps from the same weights; returns the resulting weights. */
async function steps(count: number, options: GuideOptions | undefined, threads = 1): Promise<Map<string, Float32Array>> {
  const engine = await tinyEngine(threads);
  engine.initialize(3);
  if (options) await engine.guide(options);
  for (let step = 0; step < count; step++) await engine.trainStep([batchOf(step)], 0.01);
  const weights = await tensorsOf(engine.weights());
  await engine.close();
  return weights;
}

async function gradientOf(engine: LlamaEngine, seed: number): Promise<StateDict> {
  return inMemory((await engine.lossAndGradients(batchOf(seed))).gradients);
}

const distance = (a: Map<string, Float32Array>, b: Map<string, Float32Array>): number =>
  Math.sqrt([...a].reduce((sum, [name, values]) => sum + values.reduce((s, x, i) => s + (x - (b.get(name)?.[i] ?? 0)) ** 2, 0), 0));

test.each([1, 3, 4, 5, 37, 64])('%i gradients are guided as by the reference, bit for bit', (length) => {
  const module = new WebAssembly.Module(readFileSync(new URL('../../dist/wasm/llama.wasm', import.meta.url)));
  const memory = new WebAssembly.Memory({ initial: 4, maximum: 65_536, shared: true });
  const kernels = instantiateKernels(module, memory);
  const parameters = { total: length, list: [], at: () => 0 };
  const room = layOutGuide({ totalBytes: 66_560, parameters });
  const arena = { gradients: 65_536, weights: 66_048, parameters };
  const team = { index: 0, threads: 1, barrier: () => {} };
  const program = { arena, kernels, team } as unknown as Program;
  const random = randomStream(length, 'values');
  const at = (base: number): Float32Array => new Float32Array(memory.buffer, base, length);
  const draw = (base: number): Float32Array => {
    for (let i = 0; i < length; i++) at(base)[i] = random.normal() * 10 ** (random.integer(9) - 4);
    return at(base).slice();
  };
  for (const [mu, isCorrected] of [
    [0.1, false],
    [0, true],
    [3.7, true],
  ] as const) {
    const [gradients, weights, anchor, correction] = [draw(65_536), draw(66_048), draw(room.anchor), draw(room.correction)] as const;
    at(room.gradientSum).fill(0);
    guideGradients(program, { ...room, mu, isCorrected });
    const expected = referenceGuided(gradients, isCorrected ? correction : undefined, { mu, weights, anchor });
    expect(Buffer.from(at(65_536).slice().buffer).equals(Buffer.from(expected.buffer)), `mu ${mu}`).toBe(true);
    expect(at(room.gradientSum)).toEqual(isCorrected ? gradients : new Float32Array(length));
  }
});

test('without mu and control a step equals one without a guide, bit for bit, also after a guided one', async () => {
  const plain = await steps(4, undefined);
  expect(await steps(4, { mu: 0 })).toEqual(plain);
  const engine = await tinyEngine();
  engine.initialize(3);
  await engine.guide({ mu: 1, control: await tinyModel(9) });
  await engine.trainStep([batchOf(99)], 0.01);
  engine.initialize(3);
  await engine.guide({});
  for (let step = 0; step < 4; step++) await engine.trainStep([batchOf(step)], 0.01);
  expect(await tensorsOf(engine.weights())).toEqual(plain);
  await engine.close();
});

test('guided steps give the same bits on one, two and three threads', async () => {
  const options = { mu: 0.3, control: await tinyModel(9), own: await tinyModel(10) };
  const one = await steps(4, options);
  expect(await steps(4, options, 2)).toEqual(one);
  expect(await steps(4, options, 3)).toEqual(one);
  expect(distance(one, await steps(4, undefined))).toBeGreaterThan(1e-3);
});

test('FedProx: the stronger the pull, the nearer the weights stay to those that were received', async () => {
  const received = await tensorsOf(await tinyModel());
  const ways = [];
  for (const mu of [0, 1, 100]) ways.push(distance(await steps(30, { mu }), received));
  expect(ways[1]).toBeLessThan(0.9 * (ways[0] as number));
  expect(ways[2]).toBeLessThan(0.5 * (ways[1] as number));
});

test('SCAFFOLD: a correction that cancels the gradient leaves the weights as they were; the mean gradient is the uncorrected one', async () => {
  const engine = await tinyEngine();
  engine.initialize(3);
  const before = await tensorsOf(engine.weights());
  const gradient = await gradientOf(engine, 1);
  // control − own = −gradient, exactly.
  await engine.guide({ control: gradient, own: await inMemory(gradient, (value) => 2 * value) });
  const { gradientNorm } = await engine.trainStep([batchOf(1)], 0.01);
  expect(gradientNorm).toBe(0);
  expect(await tensorsOf(engine.weights())).toEqual(before);
  expect(await tensorsOf(engine.meanGradient(1))).toEqual(await tensorsOf(gradient));
  const other = await tensorsOf(await gradientOf(engine, 2));
  // The second gradient is not cancelled: the weights are still those of the first one.
  await engine.trainStep([batchOf(2)], 0.01);
  const first = await tensorsOf(gradient);
  for (const [name, mean] of await tensorsOf(engine.meanGradient(2)))
    expect(mean).toEqual(
      mean.map((_, i) => Math.fround(Math.fround((first.get(name)?.[i] as number) + (other.get(name)?.[i] as number)) / 2)),
    );
  await engine.close();
});

/**
 * Runs rounds of one site, with a server's control variate of a seed; every round has a new
 * trainer.
 */
async function rounds(numbers: readonly number[], folder = memoryFolder(), run = 'a') {
  const changes: Map<string, Float32Array>[] = [];
  let weights = new Map<string, Float32Array>();
  for (const round of numbers) {
    const trainer = await tinyTrainer({ stateFolder: folder, run });
    const control = await inMemory(await tinyModel(9), (value) => value / 100);
    const { model, extras } = await trainer.train(tinyTask({ round, extras: { control } }), await tinyModel());
    expect(Object.keys(extras ?? {})).toEqual(['control']);
    changes.push(await tensorsOf(extras?.control as StateDict));
    expect(extras?.control?.manifest.tensors).toEqual(model.manifest.tensors);
    weights = await tensorsOf(model);
    await extras?.control?.close?.();
    await trainer.close();
  }
  return { changes, weights };
}

test('a site keeps its control variate: a repeated round, and one after missed rounds, give the same bits', async () => {
  const folder = memoryFolder();
  const straight = await rounds([1, 2, 4], folder);
  expect((await folder.list()).filter((name) => name.startsWith('control'))).toEqual(['control-2.safetensors', 'control-4.safetensors']);
  // A crash after the file was written, before the server had the result.
  const again = await rounds([1, 2, 2, 4, 4]);
  expect(again.changes[2]).toEqual(straight.changes[1]);
  expect(again.changes.at(-1)).toEqual(straight.changes.at(-1));
  expect(again.weights).toEqual(straight.weights);
  // A round returns the change: all changes together are the current control variate.
  const stands = await tensorsOf(await openSafetensors(folder, 'control-4.safetensors'));
  for (const [name, values] of stands)
    for (const [i, value] of values.entries())
      expect(straight.changes.reduce((sum, change) => sum + (change.get(name)?.[i] as number), 0)).toBeCloseTo(value, 6);
  expect(distance(stands, new Map())).toBeGreaterThan(0.1);
});

test('a round that is cut short begins again from the last one’s optimizer and control variate', async () => {
  const model = await tinyModel();
  const control = await inMemory(await tinyModel(9), (value) => value / 100);
  const ends: Map<string, Float32Array>[] = [];
  for (const isCutShort of [false, true]) {
    const trainer = await tinyTrainer({ stateFolder: memoryFolder() });
    await (await trainer.train(tinyTask({ extras: { control } }), model)).extras?.control?.close?.();
    if (isCutShort) {
      const stop = new AbortController();
      const cut = tinyTask({ round: 2, extras: { control }, signal: stop.signal, onStep: () => stop.abort(new Error('enough')) });
      await expect(trainer.train(cut, model)).rejects.toThrow('enough');
    }
    const { model: trained, extras } = await trainer.train(tinyTask({ round: 2, extras: { control } }), model);
    ends.push(
      new Map([
        ...(await tensorsOf(trained)),
        ...[...(await tensorsOf(extras?.control as StateDict))].map(([k, v]) => [`c.${k}`, v] as const),
      ]),
    );
    await trainer.close();
  }
  expect(ends[1]).toEqual(ends[0]);
});

test('the optimizer of another run is not gone on with', async () => {
  const model = await tinyModel();
  const second = async (stateFolder: Folder, run: string): Promise<Map<string, Float32Array>> => {
    const trainer = await tinyTrainer({ stateFolder, run });
    const { model: trained } = await trainer.train(tinyTask({ round: 2 }), model);
    const weights = await tensorsOf(trained);
    await trainer.close();
    return weights;
  };
  const folder = memoryFolder();
  const first = await tinyTrainer({ stateFolder: folder, run: 'a' });
  await first.train(tinyTask(), model);
  await first.close();
  const fresh = await second(memoryFolder(), 'b');
  expect(await second(folder, 'a')).not.toEqual(fresh);
  const other = memoryFolder();
  const again = await tinyTrainer({ stateFolder: other, run: 'a' });
  await again.train(tinyTask(), model);
  await again.close();
  expect(await second(other, 'b')).toEqual(fresh);
});

test('the control variate of another run is not used, and removed', async () => {
  const folder = memoryFolder();
  const first = await rounds([1, 2], folder, 'a');
  const other = await rounds([1], folder, 'b');
  expect(other.changes).toEqual(first.changes.slice(0, 1));
  expect((await folder.list()).filter((name) => name.startsWith('control'))).toEqual(['control-1.safetensors']);
});

test('a task without control returns none and keeps none; an invalid mu and unknown extras are named', async () => {
  const folder = memoryFolder();
  const trainer = await tinyTrainer({ stateFolder: folder });
  const model = await tinyModel();
  const plain = await trainer.train(tinyTask(), model);
  expect(plain.extras).toBeUndefined();
  const wayOfPlain = distance(await tensorsOf(plain.model), await tensorsOf(model));
  expect(await folder.list()).toEqual(['optimizer-1.safetensors']);
  const train = (more: object) => trainer.train(tinyTask(more), model);
  await expect(train({ figures: { mu: -1 } })).rejects.toThrow(/mu is -1; .*at least 0/);
  await expect(train({ figures: { mu: Number.NaN } })).rejects.toThrow(/mu is NaN/);
  await expect(train({ extras: { momentum: model } })).rejects.toMatchObject({
    code: 'unsupported',
    message: expect.stringMatching(/no use for the extra momentum; it knows control/),
  });
  const one = memoryStateDict([{ name: 'model.norm.weight', dtype: 'F32', shape: [10], data: new Float32Array(10) }]);
  await expect(train({ extras: { control: one } })).rejects.toMatchObject({
    code: 'bad-model',
    message: expect.stringMatching(/^the control variate of the server lacks the tensor model\.embed_tokens\.weight \[23, 10\]/),
  });
  const pulled = await train({ figures: { mu: 100 } });
  expect(distance(await tensorsOf(pulled.model), await tensorsOf(model))).toBeLessThan(0.9 * wayOfPlain);
  await trainer.close();
});
