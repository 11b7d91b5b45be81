// The process trainer against a program in memory: the bytes of its messages, and the extras of a
// result.
import { expect, test } from 'vitest';
import { memoryFolder } from '../../core/memory-folder.js';
import { memoryStateDict } from '../../tensor/memory-state-dict.js';
import { openSafetensors, writeSafetensors } from '../../tensor/safetensors.js';
import type { StateDict } from '../../tensor/state-dict.js';
import { withFile } from '../../tensor/stored-file.js';
import type { Trainer, TrainTask } from '../trainer.js';
import { processTrainer } from './process-trainer.js';
import { programInMemory } from './program-in-memory.js';

const model = (...values: number[]): StateDict =>
  memoryStateDict([{ name: 'w', dtype: 'F32', shape: [values.length], data: Float32Array.from(values) }]);

const task = (more: Partial<TrainTask> = {}): TrainTask => ({
  round: 2,
  rounds: 3,
  signal: new AbortController().signal,
  onStep: () => {},
  ...more,
});

/**
 * A program that writes `files` beside its result, and whose result message has `fields`; `lines`
 * collects the messages of the site.
 */
function scripted(
  fields: Record<string, unknown>,
  files: Record<string, StateDict | Uint8Array> = {},
  about: readonly unknown[] = [],
  exchange = memoryFolder(),
) {
  const lines: string[] = [];
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const start = programInMemory((say) => async (line) => {
    lines.push(line);
    const message = JSON.parse(line) as { type: string; id: string };
    if (message.type === 'welcome') for (const fingerprints of about) say({ type: 'about', fingerprints });
    if (message.type === 'welcome') say({ type: 'receive' });
    if (message.type !== 'task') return;
    await writeSafetensors(exchange, 'result-2.safetensors', model(5));
    for (const [name, content] of Object.entries(files)) {
      if ('manifest' in content) await writeSafetensors(exchange, name, content);
      else {
        const file = await exchange.create(name);
        await file.write(content, 0);
        await file.close();
      }
    }
    say({ type: 'result', task: message.id, samples: 1, trainLoss: 1, ...fields });
    say({ type: 'receive' });
  });
  const trainer: Trainer = processTrainer({
    label: 'the trainer "own"',
    site: 'lab',
    job: { seed: 17, rounds: 3, train: {} },
    folder: '/own',
    silenceMs: 60_000,
    stopMs: 100,
    log,
    exchange,
    pathOf: (name) => `/exchange/${name}`,
    start,
  });
  return { trainer, exchange, lines };
}

test('a task without extras and figures has neither field', async () => {
  const { trainer, lines, exchange } = scripted({});
  const result = await trainer.train(task({ extras: {} }), model(1));
  await result.model.close?.();
  expect(lines).toEqual([
    '{"type":"welcome","protocol":1,"site":"lab","folder":"/own","job":{"seed":17,"rounds":3,"train":{}}}',
    '{"type":"task","id":"train-2","kind":"train","round":2,"rounds":3,"model":"/exchange/model-2.safetensors","result":"/exchange/result-2.safetensors"}',
  ]);
  expect(result.extras).toBeUndefined();
  expect(await exchange.list()).toEqual([]);
  await trainer.close();
});

test('a program is given the file of a model that has one, and no copy', async () => {
  const site = memoryFolder('site');
  await writeSafetensors(site, 'held/held.safetensors', model(1));
  const held = withFile(await openSafetensors(site, 'held/held.safetensors'), { folder: site.folder('held'), name: 'held.safetensors' });
  const created: string[] = [];
  const exchange = site.folder('exchange');
  const create = exchange.create.bind(exchange);
  exchange.create = (name, options) => {
    created.push(name);
    return create(name, options);
  };
  const { trainer } = scripted({}, {}, [], exchange);
  const trained = await trainer.train(task(), held);
  await trained.model.close?.();
  expect(created).toEqual(['result-2.safetensors.part']);
  expect(await exchange.list()).toEqual([]);
  expect(await site.list('held')).toEqual(['held.safetensors']);
  await trainer.close();
});

test('a program that writes to the file that it was given fails its task, and is given copies from then on', async () => {
  const site = memoryFolder('site');
  const name = 'held.safetensors';
  await writeSafetensors(site, name, model(1));
  const open = async () => withFile(await openSafetensors(site, name), { folder: site, name });
  const exchange = site.folder('exchange');
  const writes: Record<string, Uint8Array> = { 'model-2.safetensors': Uint8Array.of(0) };
  const { trainer } = scripted({}, writes, [], exchange);
  await expect(trainer.train(task(), await open())).rejects.toThrow(
    /^the trainer "own" wrote to site\/exchange\/model-2\.safetensors, the model that it was given to read; .* copies from now on$/,
  );
  expect(await exchange.list()).toEqual([]);
  await writeSafetensors(site, name, model(1));
  await (await trainer.train(task(), await open())).model.close?.();
  for await (const { bytes } of (await open()).chunks()) expect(new Float32Array(bytes.slice().buffer)).toEqual(Float32Array.of(1));
  await trainer.close();
});

test('a task with extras and figures names their files and numbers', async () => {
  const { trainer, lines } = scripted({});
  await trainer.train(task({ extras: { control: model(1), b: model(2) }, figures: { mu: 0.25 } }), model(1));
  expect(JSON.parse(lines[1] as string)).toMatchObject({
    extras: {
      control: '/exchange/model-2.safetensors.control.safetensors',
      b: '/exchange/model-2.safetensors.b.safetensors',
    },
    figures: { mu: 0.25 },
  });
  await trainer.close();
});

test('extras that a program lists are opened; other files are removed at once', async () => {
  const files = {
    'result-2.safetensors.c.safetensors': model(7, 8),
    'result-2.safetensors.unsaid.safetensors': model(1),
    'result-2.safetensors.c.safetensors.part': new Uint8Array(3),
  };
  const { trainer, exchange } = scripted({ extras: ['c'] }, files);
  const { extras } = await trainer.train(task(), model(1));
  expect(extras?.c?.manifest.tensors).toMatchObject([{ name: 'w', shape: [2] }]);
  expect(await exchange.list()).toEqual(['result-2.safetensors', 'result-2.safetensors.c.safetensors']);
  await trainer.close();
  expect(await exchange.list()).toEqual([]);
});

const seventeen = Array.from({ length: 17 }, (_, index) => `e${index}`);

test.each<[string, unknown, RegExp]>([
  ['a missing file', ['c', 'missing'], /^the trainer "own" has no readable extra missing: .*result-2\.safetensors\.missing\.safetensors/],
  ['no safetensors file', ['c', 'bad'], /^the trainer "own" has no readable extra bad: .*result-2\.safetensors\.bad/],
  ['a path', ['c', '../../etc/passwd'], /^the result of the trainer "own" has an extra named "\.\.\/\.\.\/etc\/passwd"; a name has/],
  ['a name twice', ['c', 'c'], /two extras named c/],
  ['the name of the model', ['model'], /an extra named model, which is the model's own name/],
  ['too many', seventeen, /has 17 extras; at most 16 travel/],
  ['no list', { c: '/etc/passwd' }, /sent a message "result" that is none: extras: /],
  ['no names', [1], /sent a message "result" that is none: extras\.0: /],
])('%s is one error, and no file stays', async (_, extras, message) => {
  const files = { 'result-2.safetensors.c.safetensors': model(1), 'result-2.safetensors.bad.safetensors': Uint8Array.of(1, 2, 3) };
  const { trainer, exchange } = scripted({ extras }, files);
  const training = trainer.train(task({ extras: { given: model(1) } }), model(1));
  await expect(training).rejects.toMatchObject({ code: 'trainer', message: expect.stringMatching(message) });
  expect(await exchange.list()).toEqual([]);
  await trainer.close();
});

test('extras in the answer to an evaluation are refused', async () => {
  const { trainer } = scripted({ extras: ['c'], evaluation: { loss: 1, samples: 1 } });
  const evaluation = trainer.evaluate(model(1), new AbortController().signal);
  await expect(evaluation).rejects.toMatchObject({ code: 'trainer', message: expect.stringMatching(/answered evaluate-0 with extras/) });
  await trainer.close();
});

const progress = { round: 2, rounds: 3 };
const { signal } = new AbortController();

test('what a program says of its training before its first task is told; the last word counts', async () => {
  const { trainer } = scripted({}, {}, [{ 'adapter.r': '4' }, { 'adapter.r': '8', tokenizer: 'sha256-00' }]);
  expect(await trainer.fingerprints?.(signal, progress)).toEqual({ 'adapter.r': '8', tokenizer: 'sha256-00' });
  expect((await trainer.train(task(), model(1))).samples).toBe(1);
  await trainer.close();
});

test('a program that says nothing of its training has no fingerprints', async () => {
  const { trainer } = scripted({});
  expect(await trainer.fingerprints?.(signal, progress)).toEqual({});
  await trainer.close();
});

test.each<[string, unknown, RegExp]>([
  ['a value that is no text', { 'adapter.r': 8 }, /sent a message "about" that is none: fingerprints\.adapter\.r/],
  ['an empty value', { 'adapter.r': '' }, /a value has 1 to 128 characters/],
  ['65 of them', Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`f${i}`, 'x'])), /at most 64 fingerprints/],
  ['a name with a space', { 'adapter r': '8' }, /a message "about" that is none/],
])('of the training, %s ends the program with an error', async (_, about, message) => {
  const { trainer } = scripted({}, {}, [about]);
  await expect(trainer.fingerprints?.(signal, progress)).rejects.toMatchObject({
    code: 'trainer',
    message: expect.stringMatching(message),
  });
  await trainer.close();
});
