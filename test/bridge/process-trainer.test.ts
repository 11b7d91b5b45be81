// The process trainer with real programs: models there and back, and every way that a program can
// fail.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
import { narrowInto } from '../../src/tensor/widen.js';
import type { StepReport, Trainer } from '../../src/trainer/trainer.js';

const PROGRAM = fileURLToPath(new URL('programs/add-one.mjs', import.meta.url));
const base = mkdtempSync(join(tmpdir(), 'fedstream-bridge-'));
const open: Trainer[] = [];
let lines: string[] = [];

afterEach(async () => {
  for (const trainer of open.splice(0)) await trainer.close();
  lines = [];
});
afterAll(() => rmSync(base, { recursive: true }));

const note = (_: unknown, message: string): void => void lines.push(message);
const log: Logger = { debug: note, info: note, warn: note, error: note };

async function trainerOf(args: readonly string[], more: Record<string, unknown> = {}): Promise<Trainer> {
  const file = join(base, 'site.json');
  writeFileSync(file, JSON.stringify({ trainers: { own: { command: [process.execPath, PROGRAM, ...args], ...more } } }));
  const job = parseJob({ trainer: { name: 'own' }, rounds: 3 }, 'test');
  const work = join(base, `work-${readdirSync(base).length}`);
  const config = readSiteConfig(file);
  const trainer = await makeProcessTrainer('own', { site: 'a', job, config, data: undefined, validation: undefined, work, log });
  open.push(trainer);
  return trainer;
}

function model(): StateDict {
  const halves = narrowInto('BF16', Float32Array.of(1, -2), new Uint8Array(4));
  return memoryStateDict([
    { name: 'w', dtype: 'F32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) },
    { name: 'h', dtype: 'BF16', shape: [2], data: halves },
    { name: 'n', dtype: 'I64', shape: [1], data: BigInt64Array.of(7n) },
  ]);
}

async function bytesOf(state: StateDict): Promise<Record<string, Buffer>> {
  const found: Record<string, Buffer> = {};
  for await (const { tensor, bytes } of state.chunks()) found[tensor.name] = Buffer.from(bytes);
  return found;
}

async function train(trainer: Trainer, round: number, signal = new AbortController().signal) {
  const steps: StepReport[] = [];
  let heartbeats = 0;
  const onProgress = (): void => {
    heartbeats++;
  };
  const result = await trainer.train({ round, rounds: 3, signal, onStep: (step) => void steps.push(step), onProgress }, model());
  return { result, steps, heartbeats };
}

test('a model goes there and back in the order of the job, BF16 as BF16, with steps, figures and heartbeats', async () => {
  const trainer = await trainerOf([]);
  const { result, steps, heartbeats } = await train(trainer, 1);
  expect(result.model.manifest.tensors.map(({ name, dtype }) => [name, dtype])).toEqual([
    ['w', 'F32'],
    ['h', 'BF16'],
    ['n', 'I64'],
  ]);
  const trained = await bytesOf(result.model);
  expect(new Float32Array(new Uint8Array(trained.w as Buffer).buffer)).toEqual(Float32Array.of(2, 3, 4, 5));
  expect(trained.h).toEqual(Buffer.from(narrowInto('BF16', Float32Array.of(2, -1), new Uint8Array(4))));
  expect(trained.n).toEqual(Buffer.from(BigInt64Array.of(7n).buffer));
  await result.model.close?.();
  expect(result).toMatchObject({ samples: 2, steps: 1, trainLoss: 1, evaluation: { loss: 1, samples: 4 }, metrics: { rounds: 3 } });
  expect(steps).toEqual([{ step: 1, loss: 1, learningRate: 0.1, tokens: 0 }]);
  expect(heartbeats).toBeGreaterThan(0);
  expect(lines).toContain('working');
  expect(await trainer.evaluate(model(), new AbortController().signal, { round: 3, rounds: 3 })).toEqual({ loss: 0.25, samples: 4 });
  // One program for all tasks.
  expect(lines.filter((line) => line === 'working')).toHaveLength(1);
});

test('an initial model is offered', async () => {
  const trainer = await trainerOf([]);
  const offer = await trainer.offer?.(new AbortController().signal);
  expect(offer?.model.manifest.tensors).toMatchObject([{ name: 'w', dtype: 'F32', shape: [3] }]);
  await offer?.model.close?.();
});

test.each([
  ['crash', /the trainer "own" ended with exit code 1 in round 1; the end of its output: .*out of memory on purpose/],
  ['leave', /the trainer "own" ended with exit code 0 in round 1; the end of its output: working/],
  ['garbage', /the trainer "own" sent a message "step" that is none: step: .*loss: .*in round 1; the end of its output: .*nonsense/],
  ['missing', /the result of the trainer "own" does not fit the model that it was given: it lacks w/],
  ['extra', /does not fit the model that it was given: it has, beyond the model, x/],
  ['shape', /does not fit the model that it was given: w is F32 \[1, 2, 2\] instead of F32 \[2, 2\]/],
])('%s is one error, and the next round starts anew', async (how, message) => {
  const trainer = await trainerOf([how, '1']);
  await expect(train(trainer, 1)).rejects.toMatchObject({ code: 'trainer', message: expect.stringMatching(message) });
  const { result } = await train(trainer, 2);
  expect(result.trainLoss).toBe(0.5);
  await result.model.close?.();
});

test('silence ends the program and the workers that it started in sessions of their own', async () => {
  // A busy machine takes seconds to start a program.
  const trainer = await trainerOf(['hang'], { silenceMs: 8_000 });
  await expect(train(trainer, 1)).rejects.toMatchObject({
    code: 'trainer',
    message: expect.stringMatching(/the trainer "own" said nothing for 8 s in round 1 and was ended; the end of its output: working/),
  });
  const child = Number(/child (\d+)/.exec(lines.join('\n'))?.[1]);
  expect(child).toBeGreaterThan(0);
  if (existsSync('/proc')) await expect.poll(() => isAlive(child)).toBe(false);
});

test('an abort ends the program at once', async () => {
  const trainer = await trainerOf(['hang']);
  const stop = new AbortController();
  const training = train(trainer, 1, stop.signal);
  // A busy machine takes seconds to start a program.
  await expect.poll(() => lines.join('\n'), { timeout: 20_000 }).toMatch(/child \d+/);
  stop.abort(new Error('stopped'));
  await expect(training).rejects.toThrow('stopped');
});

test('a command that cannot be started, and one without a bridge, are reported', async () => {
  const missing = await trainerOf([], { command: ['no-such-program-anywhere'] });
  await expect(train(missing, 1)).rejects.toThrow(/could not be started \(no-such-program-anywhere in .*ENOENT/);
  const deaf = await trainerOf([], { command: ['sh', '-c', 'echo "I know no bridge"; exit 3'] });
  await expect(train(deaf, 1)).rejects.toThrow(/ended with exit code 3 in round 1; the end of its output: I know no bridge/);
  const empty = await trainerOf(['nothing-to-offer']);
  await expect(empty.offer?.(new AbortController().signal)).rejects.toThrow(/ended with exit code 1; .*give init an initial one/);
});

test('an unregistered trainer is refused with the names that there are; a wrong file by its field', async () => {
  const file = join(base, 'other.json');
  writeFileSync(file, JSON.stringify({ trainers: { sft: { command: ['x', '{data}'] } } }));
  const job = parseJob({ trainer: { name: 'own' } }, 'test');
  const rest = { site: 'a', job, data: undefined, validation: undefined, work: join(base, 'w'), log };
  const made = (name: string) => makeProcessTrainer(name, { ...rest, config: readSiteConfig(file) });
  await expect(made('own')).rejects.toMatchObject({ code: 'refused', message: expect.stringMatching(/"own".*not registered.* has sft/) });
  await expect(made('sft')).rejects.toMatchObject({ message: expect.stringMatching(/has \{data\}, and this site was given no --data/) });
  writeFileSync(file, JSON.stringify({ trainers: { own: { command: [], shell: true } } }));
  expect(() => readSiteConfig(file)).toThrow(/trainers\.own\.?\w*: /);
  writeFileSync(file, '{');
  expect(() => readSiteConfig(file)).toThrow(
    expect.objectContaining({ code: 'bad-argument', message: expect.stringMatching(/is not JSON/) }),
  );
});

test('a site may have only filters; a wrong one is named by its place', () => {
  const file = join(base, 'filters.json');
  const read = (filters: unknown) => {
    writeFileSync(file, JSON.stringify({ filters }));
    return readSiteConfig(file);
  };
  expect(read([{ type: 'exclude', patterns: ['*embed*'] }, 'dequantize'])).toMatchObject({
    trainers: {},
    filters: [{ type: 'exclude', patterns: ['*embed*'] }, { type: 'dequantize' }],
  });
  const problem = (filters: unknown, message: RegExp) =>
    expect(() => read(filters)).toThrow(expect.objectContaining({ code: 'bad-argument', message: expect.stringMatching(message) }));
  problem(['trim'], /filters\.json: filters\.0: there is no filter "trim"; the filters are exclude, .*; docs\/site\.md has the fields$/);
  problem(['dequantize', 'delta'], /filters\.json: filters\.1: delta: a site's own filters work on the update/);
  problem(
    [{ type: 'exclude', pattern: ['x'] }],
    /filters\.0\.patterns: .*; filters\.0: pattern: unknown option of exclude; it has patterns/,
  );
});

/** False for zombies, too: processes that have ended but were not yet waited for (Z). */
function isAlive(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
