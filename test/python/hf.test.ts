// The scripts of examples/hf-sft in a federation: real torch and transformers on the CPU, real
// processes, over TCP. All but one are forked from a Python that has its imports.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readText } from '../../src/core/storage-text.js';
import { nodeFolder } from '../../src/node/storage/node-folder.js';
import { startLlamaEngine } from '../../src/node/trainer/llama-host.js';
import { openModel } from '../../src/tensor/model-folder.js';
import { parseLlamaConfig } from '../../src/trainer/llama/config.js';
import { breadth } from '../breadth.js';
import { lossesOf, run, summaryOf, workFolder } from '../e2e/command.js';
import { withoutPython } from './python.js';
import { python, root } from './venv.js';
import { type WarmPython, warmPython } from './warm.js';

const folder = workFolder();
const examples = join(root, 'examples/hf-sft');
const site = join(folder, 'site.json');
const job = join(folder, 'job.json');
const path = (...names: string[]): string => join(folder, ...names);
const SETTINGS = ['--max-length', '96', '--learning-rate', '0.003', '--batch-size', '8'];
const LONG = { timeout: 300_000 };
let warm: WarmPython;

function trainer(script: string, model: string, ...more: string[]) {
  const data = ['--data', '{data}', '--validation', '{validation}', '--output', '{work}'];
  return {
    command: [...warm.command(script), '--model', path(model), ...data, ...SETTINGS, ...more],
    folder: examples,
    environment: { OMP_NUM_THREADS: '1' },
  };
}

async function simulate(name: string, ...args: string[]) {
  const ended = await run(['simulate', '--job', job, '--site-config', site, '--name', name, ...args], folder);
  expect(ended.code, ended.stderr).toBe(0);
  return summaryOf(folder, name);
}

interface Checked {
  readonly class: string;
  readonly dtype: string;
  readonly finite: boolean;
  readonly logits: readonly number[];
}

const check = (...folders: string[]): Checked => JSON.parse(warm.run(['test/python/check_model.py', ...folders])) as Checked;

describe.skipIf(withoutPython)('with Python', () => {
  afterAll(() => warm?.close());

  beforeAll(async () => {
    warm = await warmPython(folder);
    for (const [name, kind, dtype] of [
      ['llama', 'llama', 'float32'],
      ['gpt2', 'gpt2', 'float32'],
      ['half', 'llama', 'bfloat16'],
    ] as const)
      warm.run(['test/python/make_model.py', path(name), kind, dtype]);
    const trainers = {
      llama: trainer('sft.py', 'llama'),
      gpt2: trainer('sft.py', 'gpt2'),
      half: trainer('sft.py', 'half'),
      wide: trainer('sft.py', 'half', '--dtype', 'float32'),
      lora: trainer('lora.py', 'llama'),
      linear: { command: [python, 'trainer.py'], folder: join(root, 'examples/custom-trainer') },
    };
    writeFileSync(site, JSON.stringify({ trainers }));
    const data = { generated: 120 };
    writeFileSync(job, JSON.stringify({ trainer: { name: 'llama' }, sites: 2, rounds: 3, data, validationSamples: 12 }));
  }, 120_000);

  const TUNED: readonly (readonly [name: string, codec: string, type: string])[] = [
    ['llama', 'fp32', 'LlamaForCausalLM'],
    ['llama', 'nf4', 'LlamaForCausalLM'],
    ['gpt2', 'nf4', 'GPT2LMHeadModel'],
  ];
  test.each(breadth(TUNED, TUNED.slice(-1)))(
    'full SFT of %s in %s: loss falls, the global model loads',
    LONG,
    async (name, codec, type) => {
      const run = `${name}-${codec}`;
      const { initial, final, rounds } = await simulate(run, '--trainer', name, '--codec', codec);
      expect(final?.loss).toBeLessThan((initial?.loss as number) - 0.5);
      expect(rounds.every(({ sites }) => Object.values(sites).every(({ steps }) => steps === 7))).toBe(true);
      expect(check(path('runs', run, 'model'))).toMatchObject({ class: type, dtype: 'torch.float32', finite: true });
    },
  );

  test('a model in bfloat16 stays in bfloat16', LONG, async () => {
    await simulate('half', '--trainer', 'half', '--codec', 'nf4', '--rounds', '1', '--model', path('half'));
    expect(check(path('runs/half/model'))).toMatchObject({ class: 'LlamaForCausalLM', dtype: 'torch.bfloat16', finite: true });
  });

  test.each(breadth(['fp32', 'u4'], ['u4']))(
    '%s: a script that trains a bfloat16 model in float32: the server keeps the float32 of it',
    LONG,
    async (codec) => {
      const run = `wide-${codec}`;
      const { initial, final, bytes } = await simulate(
        run,
        '--trainer',
        'wide',
        '--codec',
        codec,
        '--rounds',
        '2',
        '--model',
        path('half'),
      );
      expect(final?.loss).toBeLessThan(initial?.loss as number);
      expect(check(path('runs', run, 'model'))).toMatchObject({ class: 'LlamaForCausalLM', dtype: 'torch.bfloat16', finite: true });
      const master = Object.values(readHeader(path('runs', run, 'global/round-0002.safetensors'))).map((entry) => entry?.dtype);
      expect([...new Set(master.filter((dtype) => dtype !== undefined))]).toEqual(['F32']);
      // The sites have the model, so that only the manifest of the initial model is sent.
      expect(bytes.fp32Total).toBe(2 * bytes.ownTotal);
      const start = readFileSync(path('runs', run, 'events.jsonl'), 'utf8')
        .split('\n')
        .filter((line) => line.includes('"down"'))[0] as string;
      expect((JSON.parse(start) as { bytes: number }).bytes).toBeLessThan(20_000);
    },
  );

  test.each(breadth(['fp32', 'nf4'], ['nf4']))(
    'LoRA in %s: the adapter travels alone, loss falls, it loads on its base',
    LONG,
    async (codec) => {
      const { initial, final, bytes } = await simulate(`lora-${codec}`, '--trainer', 'lora', '--codec', codec);
      expect(final?.loss).toBeLessThan((initial?.loss as number) - 0.1);
      const header = readHeader(path('runs', `lora-${codec}`, 'model/adapter_model.safetensors'));
      const names = Object.keys(header).filter((name) => name !== '__metadata__');
      expect(names.length).toBe(2 * 7 * 2);
      expect(names.every((name) => /lora_[AB]\.weight$/.test(name))).toBe(true);
      const elements = names.reduce((sum, name) => sum + (header[name]?.shape ?? []).reduce((product, side) => product * side, 1), 0);
      // Two sites: a model to each in three rounds and for the last evaluation, and a model back in
      // three rounds.
      expect(bytes.fp32Total).toBe(elements * 4 * (2 * 4 + 2 * 3));
      const tuned = check(path('runs', `lora-${codec}`, 'model'), path('llama'));
      expect(tuned.finite).toBe(true);
      expect(tuned.logits).not.toEqual(check(path('llama')).logits);
    },
  );

  test.each([
    ['llama', 'central.py'],
    ['gpt2', 'central.py'],
    ['lora', 'lora.py'],
  ])('one site, fp32, state kept: the losses of %s are those of the script alone, to the last digit', LONG, async (name, script) => {
    await simulate(`alone-${name}`, '--trainer', name, '--sites', '1', '--codec', 'fp32');
    const data = ['--data', path(`runs/alone-${name}/data/site-1.jsonl`), '--validation', path(`runs/alone-${name}/data/validation.jsonl`)];
    const model = path(name === 'lora' ? 'llama' : name);
    warm.run([script, '--model', model, ...data, '--output', path(`central-${name}`), '--epochs', '3', ...SETTINGS], examples);
    const state = JSON.parse(readFileSync(path(`central-${name}/trainer_state.json`), 'utf8')) as { log_history: { loss?: number }[] };
    const central = state.log_history.flatMap(({ loss }) => (loss === undefined ? [] : [loss]));
    expect(central).toHaveLength(42);
    expect(lossesOf(folder, `alone-${name}`)).toEqual(central);
  });

  test('a model of the built-in trainer goes on in PyTorch, and back', LONG, async () => {
    const small = {
      model: { hiddenSize: 32, layers: 2, heads: 4, kvHeads: 2, ffnSize: 48, vocabularySize: 300 },
      data: { generated: 150 },
    };
    const own = path('built-in.json');
    writeFileSync(
      own,
      JSON.stringify({ ...small, rounds: 1, sites: 2, validationSamples: 10, train: { localSteps: 4, batchSize: 8, maxTokens: 64 } }),
    );
    const made = await run(['simulate', '--job', own, '--name', 'made', '--codec', 'fp32'], folder);
    expect(made.code, made.stderr).toBe(0);
    const config = JSON.parse(readFileSync(site, 'utf8')) as { trainers: Record<string, unknown> };
    config.trainers.made = trainer('sft.py', 'runs/made/model');
    writeFileSync(site, JSON.stringify(config));
    await simulate('continued', '--trainer', 'made', '--codec', 'fp32', '--rounds', '1', '--model', path('runs/made/model'));
    // Back: the built-in trainer evaluates PyTorch's model as PyTorch does, and trains on from it.
    const back = await run(
      ['simulate', '--job', own, '--name', 'back', '--codec', 'fp32', '--model', path('runs/continued/model')],
      folder,
    );
    expect(back.code, back.stderr).toBe(0);
    for (const name of ['made', 'continued', 'back']) {
      const { logits } = check(path('runs', name, 'model'));
      const ours = await builtInLogits(path('runs', name, 'model'));
      expect(ours).toHaveLength(logits.length);
      expect(Math.max(...ours.map((value, index) => Math.abs(value - (logits[index] as number))))).toBeLessThan(1e-4);
    }
  });

  test('the example without torch learns', LONG, async () => {
    const { initial, final } = await simulate('linear', '--trainer', 'linear', '--codec', 'fp32', '--rounds', '15');
    expect(final?.loss).toBeLessThan((initial?.loss as number) / 20);
  });

  test('an exception in a script is one line that ends with its text', LONG, async () => {
    const config = path('broken.json');
    writeFileSync(
      config,
      JSON.stringify({
        trainers: { llama: { ...trainer('sft.py', 'llama'), command: [python, 'sft.py', '--model', '/nowhere', '--data', '{data}'] } },
      }),
    );
    const ended = await run(['simulate', '--job', job, '--site-config', config, '--name', 'broken', '--sites', '1'], folder);
    expect(ended.code).toBe(1);
    expect(ended.stderr.trim().split('\n').at(-1)).toMatch(
      /^fedstream: .*the trainer "llama" ended with exit code 1; the end of its output: .*\/nowhere/,
    );
  });
});

/** The built-in trainer's logits after the tokens 1, 2, … 8. */
async function builtInLogits(path: string): Promise<number[]> {
  const model = nodeFolder(path);
  const config = parseLlamaConfig((await readText(model, 'config.json')) as string, path);
  const optimizer = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, clipNorm: 1 };
  const engine = await startLlamaEngine({ config, size: { maxBatch: 1, maxSequence: 8, threads: 1 }, optimizer });
  try {
    const weights = await openModel(model);
    await engine.load(weights);
    await weights.close?.();
    const logits = await engine.logits(Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8), 1, 8);
    return [...logits.slice(-config.vocabularySize)];
  } finally {
    await engine.close();
  }
}

function readHeader(file: string): Record<string, { dtype?: string; shape: number[] } | undefined> {
  const bytes = readFileSync(file);
  return JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())).toString('utf8')) as Record<
    string,
    { dtype?: string; shape: number[] }
  >;
}
