// The built-in trainer, programs over the bridge and a scripted trainer behave alike; and the suite
// finds the faults of others.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import type { Logger } from '../../src/core/log.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import { parseJob } from '../../src/kit/kit.js';
import { makeProcessTrainer } from '../../src/node/trainer/make-site-trainer.js';
import { readSiteConfig } from '../../src/node/trainer/site-config.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import { type TrainerUnderTest, testTrainer } from '../../src/testing/trainer-conformance.js';
import type { Trainer } from '../../src/trainer/trainer.js';
import { inMemory, tensorsOf, tinyModel, tinyTrainer } from '../trainer/tiny.js';

const parent = mkdtempSync(join(tmpdir(), 'fedstream-trainers-'));
afterAll(() => rmSync(parent, { recursive: true, force: true }));
let made = 0;
const nothing = (): void => {};
const log: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };

async function program(): Promise<Trainer> {
  const file = join(parent, 'site.json');
  const path = fileURLToPath(new URL('../bridge/programs/extras.mjs', import.meta.url));
  writeFileSync(file, JSON.stringify({ trainers: { own: { command: [process.execPath, path] } } }));
  const job = parseJob({ trainer: { name: 'own' }, rounds: 3 }, 'test');
  const work = join(parent, `work-${made++}`);
  return makeProcessTrainer('own', { site: 'a', job, config: readSiteConfig(file), data: undefined, validation: undefined, work, log });
}

function small(...values: number[]): StateDict {
  return memoryStateDict([
    { name: 'w', dtype: 'F32', shape: [values.length], data: Float32Array.from(values) },
    { name: 'b', dtype: 'F32', shape: [1], data: Float32Array.of(0.5) },
  ]);
}

/** Adds mu × control, and returns the control that it was given, doubled. */
const scripted: Trainer = {
  async train({ round, signal, onStep, extras = {}, figures = {} }, model) {
    signal.throwIfAborted();
    onStep({ step: round, loss: 1, learningRate: 1, tokens: 1 });
    const control = extras.control && (await tensorsOf(extras.control));
    const values = await tensorsOf(model);
    const trained = [...values].map(([name, given]) => {
      const data = given.map((value, i) => value + round + (figures.mu ?? 1) * (control?.get(name)?.[i] ?? 0));
      return { name, dtype: 'F32' as const, shape: [given.length], data };
    });
    const back = extras.control && { control: await inMemory(extras.control, (value) => 2 * value) };
    return { model: memoryStateDict(trained), samples: 1, steps: 1, trainLoss: 1, extras: back };
  },
  evaluate: async (_, signal) => {
    signal.throwIfAborted();
    return { loss: 1, samples: 1 };
  },
  close: async () => {},
};

const SCRIPTED: TrainerUnderTest = {
  make: () => scripted,
  model: () => small(1, 2, 3),
  extras: () => ({ control: small(4, 5, 6) }),
  figures: { mu: 0.5 },
  returns: ['control'],
};

const BUILT_IN: TrainerUnderTest = {
  make: () => tinyTrainer({ stateFolder: memoryFolder() }),
  model: () => tinyModel(),
  extras: async () => ({ control: await tinyModel(9) }),
  figures: { mu: 0.1 },
  returns: ['control'],
};

testTrainer('scripted', SCRIPTED, test);
testTrainer('built-in', BUILT_IN, (name, run) => test(name, { timeout: 30_000 }, run));
testTrainer('process', { ...SCRIPTED, make: program, returns: ['control', 'seen'] }, (name, run) => test(name, { timeout: 30_000 }, run));

describe('the suite finds', () => {
  const found = (change: Partial<Trainer>, more: Partial<TrainerUnderTest> = {}) => {
    const tests = new Map<string, () => Promise<void>>();
    testTrainer('wrong', { ...SCRIPTED, make: () => ({ ...scripted, ...change }), abortMs: 200, ...more }, (name, run) =>
      tests.set(name, run),
    );
    return Promise.all(
      [...tests.values()].map((run) =>
        run().then(
          () => undefined,
          (error: Error) => error.message,
        ),
      ),
    );
  };
  const training = (train: (...args: Parameters<Trainer['train']>) => ReturnType<Trainer['train']>) => ({ train });

  test('nothing in a trainer without faults', async () => {
    expect((await found({})).filter((message) => message !== undefined)).toEqual([]);
  });

  let count = 0;
  test.each<[string, Partial<Trainer>, RegExp]>([
    [
      'a tensor that is missing',
      training(async () => ({ ...(await scripted.train(asked(), small(1))), model: memoryStateDict([]) })),
      /it lacks w, b/,
    ],
    ['samples that cannot be a weight', training(async (...args) => ({ ...(await scripted.train(...args)), samples: 0 })), /samples is 0/],
    [
      'a model that is changed',
      training(async (task, model) => {
        for await (const { bytes } of model.chunks()) bytes[0] = (bytes[0] as number) ^ 1;
        return scripted.train(task, model);
      }),
      /the model that was given, after training: chunk 0 has other bytes/,
    ],
    [
      'a model that is closed',
      training(async (task, model) => {
        const result = await scripted.train(task, model);
        await model.close?.();
        return result;
      }),
      /how often the model that was given was closed: got 1, expected 0/,
    ],
    [
      'chance',
      training(async (task, model) => scripted.train({ ...task, round: task.round + count++ }, model)),
      /a second trainer made: chunk 0 has/,
    ],
    [
      'extras that do not come back',
      training(async (task, model) => ({ ...(await scripted.train(task, model)), extras: undefined })),
      /names of the extras that came back: got , expected control/,
    ],
    ['an evaluation that is not the same', { evaluate: async () => ({ loss: count++, samples: 1 }) }, /the second evaluation: got/],
    ['an abort that is not heard', training(() => new Promise(() => {})), /the aborted task was not over after 200 ms/],
    ['a close that fails the second time', closing(), /closed already/],
  ])('%s', async (what, change, message) => {
    // A trainer that never answers blocks every test that does not abort it.
    const only = what === 'an abort that is not heard' ? abortsOnly() : {};
    expect((await found(change, { exceptions: only })).filter((text) => text !== undefined)).toContainEqual(expect.stringMatching(message));
  });

  function asked() {
    return { round: 1, rounds: 1, signal: new AbortController().signal, onStep: nothing };
  }

  function closing(): Partial<Trainer> {
    let isClosed = false;
    return {
      close: async () => {
        if (isClosed) throw new Error('closed already');
        isClosed = true;
      },
    };
  }

  function abortsOnly(): Record<string, string> {
    const titles: string[] = [];
    testTrainer('', SCRIPTED, (name) => titles.push(name.replace('Trainer : ', '')));
    return Object.fromEntries(titles.filter((title) => !title.includes('aborted')).map((title) => [title, 'it never answers']));
  }
});
