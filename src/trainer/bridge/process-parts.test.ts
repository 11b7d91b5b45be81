// Training in parts with a program in memory: what is exchanged in which order, and what is refused.
import { expect, test } from 'vitest';
import { memoryFolder } from '../../core/memory-folder.js';
import { memoryStateDict } from '../../tensor/memory-state-dict.js';
import { openSafetensors, writeSafetensors } from '../../tensor/safetensors.js';
import type { StateDict } from '../../tensor/state-dict.js';
import type { PartsTask, TrainedPart } from '../trainer.js';
import { processTrainer } from './process-trainer.js';
import { programInMemory } from './program-in-memory.js';

const dict = (values: Record<string, number>): StateDict =>
  memoryStateDict(Object.entries(values).map(([name, value]) => ({ name, dtype: 'F32', shape: [1], data: Float32Array.of(value) })));

async function valuesOf(model: StateDict): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for await (const { tensor, bytes } of model.chunks()) found[tensor.name] = new Float32Array(bytes.slice().buffer)[0] as number;
  return found;
}

const NAMES = ['a', 'b'];

/** A program that adds 1 to its model before each part, and sends the segments of `order`. */
function inParts(order: readonly number[], wrong: Record<string, number> = {}) {
  const exchange = memoryFolder();
  const told: unknown[] = [];
  const start = programInMemory((say) => {
    let own: Record<string, number> = {};
    const left = [...order];
    const next = async (): Promise<void> => {
      const segment = left.shift();
      if (segment === undefined) {
        say({ type: 'result', task: 'parts-1' });
        say({ type: 'receive' });
        return;
      }
      own = Object.fromEntries(Object.entries(own).map(([name, value]) => [name, value + 1]));
      const name = NAMES[(segment - 1) % 2] as string;
      await writeSafetensors(exchange, `parts-result.safetensors.${segment}.safetensors`, dict({ [name]: own[name] as number, ...wrong }));
      say({ type: 'part', task: 'parts-1', segment, samples: 2, steps: 3, trainLoss: 1 });
      if (left.length === 0) await next();
    };
    return async (line) => {
      const message = JSON.parse(line) as { type: string; model: string; segment: number };
      if (message.type === 'welcome') say({ type: 'receive' });
      else told.push(message);
      if (message.type !== 'task' && message.type !== 'merge') return;
      const given = await openSafetensors(exchange, message.model.slice('/exchange/'.length));
      own = { ...own, ...(await valuesOf(given)) };
      await next();
    };
  });
  const trainer = processTrainer({
    label: 'the trainer "own"',
    site: 'lab',
    job: { seed: 17, rounds: 2, train: {} },
    folder: '/own',
    silenceMs: 60_000,
    stopMs: 100,
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    exchange,
    pathOf: (name) => `/exchange/${name}`,
    start,
  });
  const sent: [number, Record<string, number>][] = [];
  const task: PartsTask = {
    round: 1,
    rounds: 2,
    signal: new AbortController().signal,
    plan: { of: 2, overlap: 1, alpha: 0.5 },
    parts: NAMES.map((name) => new Set([name])),
    done: 1,
    onStep: () => {},
    async send({ segment, model }: TrainedPart) {
      sent.push([segment, await valuesOf(model)]);
      await model.close?.();
    },
    merge: async (segment) => dict({ [NAMES[(segment - 1) % 2] as string]: 10 * segment }),
  };
  const run = () => trainer.trainParts?.(task, { kind: 'model', dict: dict({ a: 1, b: 2 }) });
  return { run, told, sent, exchange };
}

test('parts go out in order, values come back, and no file stays', async () => {
  const { run, told, sent, exchange } = inParts([2, 3, 4]);
  await run();
  expect(sent).toEqual([
    [2, { b: 3 }],
    [3, { a: 3 }],
    [4, { b: 22 }],
  ]);
  const parts = { of: 2, overlap: 1, alpha: 0.5, done: 1, names: [['a'], ['b']] };
  const [model, result] = ['/exchange/parts.safetensors', '/exchange/parts-result.safetensors'];
  expect(told).toEqual([
    { type: 'task', id: 'parts-1', kind: 'train', round: 1, rounds: 2, model, result, parts },
    { type: 'merge', task: 'parts-1', segment: 2, model: `${model}.2.safetensors` },
    { type: 'merge', task: 'parts-1', segment: 3, model: `${model}.3.safetensors` },
  ]);
  expect(await exchange.list()).toEqual([]);
});

test.each<[what: string, order: number[], wrong: Record<string, number>, code: string, message: RegExp]>([
  ['a part out of turn', [3], {}, 'trainer', /sent the part of segment 3 out of turn/],
  ['an end too soon', [2], {}, 'trainer', /ended its training after segment 2 of 4/],
  ['tensors of another part', [2, 3, 4], { a: 1 }, 'trainer', /it has, beyond the model, a/],
])('%s is an error', async (_, order, wrong, code, message) => {
  const { run } = inParts(order, wrong);
  await expect(run()).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
});
