// State dicts and figures beside the model, through the process trainer to a real program and back.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, expect, test } from 'vitest';
import type { Logger } from '../../src/core/log.js';
import { parseJob } from '../../src/kit/kit.js';
import { makeProcessTrainer } from '../../src/node/trainer/make-site-trainer.js';
import { readSiteConfig } from '../../src/node/trainer/site-config.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import type { Trainer, TrainTask } from '../../src/trainer/trainer.js';

const PROGRAM = fileURLToPath(new URL('programs/extras.mjs', import.meta.url));
const base = mkdtempSync(join(tmpdir(), 'fedstream-extras-'));
const open: Trainer[] = [];

afterEach(async () => {
  for (const trainer of open.splice(0)) await trainer.close();
});
afterAll(() => rmSync(base, { recursive: true }));

const nothing = (): void => {};
const log: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };

async function trainerOf(how = ''): Promise<{ trainer: Trainer; exchange: string }> {
  const file = join(base, 'site.json');
  writeFileSync(file, JSON.stringify({ trainers: { own: { command: [process.execPath, PROGRAM, how] } } }));
  const job = parseJob({ trainer: { name: 'own' }, rounds: 3 }, 'test');
  const work = join(base, `work-${readdirSync(base).length}`);
  const config = readSiteConfig(file);
  const trainer = await makeProcessTrainer('own', { site: 'a', job, config, data: undefined, validation: undefined, work, log });
  open.push(trainer);
  return { trainer, exchange: join(work, 'bridge') };
}

const stateDict = (...values: number[]): StateDict =>
  memoryStateDict([{ name: 'w', dtype: 'F32', shape: [values.length], data: Float32Array.from(values) }]);

async function valuesOf(state: StateDict | undefined): Promise<number[]> {
  const found: number[] = [];
  for await (const { bytes } of (state as StateDict).chunks()) found.push(...new Float32Array(bytes.slice().buffer));
  return found;
}

const task = (more: Partial<TrainTask> = {}): TrainTask => ({
  round: 1,
  rounds: 3,
  signal: new AbortController().signal,
  onStep: nothing,
  ...more,
});

test('extras and figures reach the program, its own extras come back, and closing them removes the files', async () => {
  const { trainer, exchange } = await trainerOf();
  const extras = { control: stateDict(1, 2, 3), other: stateDict(0) };
  const { model, extras: back = {} } = await trainer.train(task({ extras, figures: { mu: 0.5, unknown: -1e300 } }), stateDict(10, 20, 30));
  expect(Object.keys(back).sort()).toEqual(['control', 'seen']);
  expect(await valuesOf(model)).toEqual([10.5, 21, 31.5]);
  expect(await valuesOf(back.control)).toEqual([2, 4, 6]);
  expect(await valuesOf(back.control)).toEqual([2, 4, 6]);
  expect(await valuesOf(back.seen)).toEqual([2]);
  const files = ['result-1.safetensors', 'result-1.safetensors.control.safetensors', 'result-1.safetensors.seen.safetensors'];
  expect(readdirSync(exchange)).toEqual(files);
  await model.close?.();
  expect(readdirSync(exchange)).toEqual(files.slice(1));
  for (const extra of Object.values(back)) await extra.close?.();
  expect(readdirSync(exchange)).toEqual([]);
});

test('without extras in the task, the program gets none, and its result has none', async () => {
  const { trainer } = await trainerOf();
  const { model, extras } = await trainer.train(task(), stateDict(1));
  expect(await valuesOf(model)).toEqual([1]);
  expect(extras).toBeUndefined();
  await model.close?.();
});

test('a program that fails after it has written its extras leaves nothing behind', async () => {
  const { trainer, exchange } = await trainerOf('crash');
  const extras = { control: stateDict(1) };
  await expect(trainer.train(task({ extras }), stateDict(1))).rejects.toMatchObject({
    code: 'trainer',
    message: expect.stringMatching(/"result" that is none: trainLoss/),
  });
  expect(readdirSync(exchange)).toEqual([]);
});

test('a program that sends an invalid name gets an error', async () => {
  const { trainer, exchange } = await trainerOf('name');
  const failed = trainer.train(task({ extras: { control: stateDict(1) } }), stateDict(1));
  await expect(failed).rejects.toThrow(/end of its output: .*what is sent has an extra named "\.\.\/x"; a name has 1 to 64 letters/);
  expect(readdirSync(exchange)).toEqual([]);
});

test('extras and figures that cannot be handed over are the caller’s error; the program is not asked', async () => {
  const { trainer, exchange } = await trainerOf();
  for (const [more, message] of [
    [{ extras: { 'a/b': stateDict(1) } }, /the task has an extra named "a\/b"/],
    [{ extras: { model: stateDict(1) } }, /an extra named model/],
    [{ figures: { mu: Number.NaN } }, /the task's figures cannot be handed over: figures\.mu: /],
    [{ figures: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`f${i}`, i])) }, /at most 64 numbers/],
  ] as const) {
    await expect(trainer.train(task(more), stateDict(1))).rejects.toMatchObject({
      code: 'bad-argument',
      message: expect.stringMatching(message),
    });
    expect(readdirSync(exchange)).toEqual([]);
  }
});
