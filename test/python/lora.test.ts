// LoRA done right over the product: sites of three ranks in one run, and an exact average whose
// adapter PEFT loads. Real torch, transformers and PEFT on the CPU, real processes.
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run, summaryOf, workFolder } from '../e2e/command.js';
import { withoutPython } from './python.js';
import { root } from './venv.js';
import { type WarmPython, warmPython } from './warm.js';

const folder = workFolder();
const path = (...names: string[]): string => join(folder, ...names);
const LONG = { timeout: 120_000 };
let warm: WarmPython;

async function simulate(name: string, job: object) {
  writeFileSync(path(`${name}.json`), JSON.stringify({ data: { generated: 60 }, validationSamples: 6, rounds: 2, ...job }));
  const ended = await run(['simulate', '--job', path(`${name}.json`), '--site-config', path('site.json'), '--name', name], folder);
  expect(ended.code, ended.stderr).toBe(0);
  return summaryOf(folder, name);
}

const config = (name: string): { readonly r: number; readonly lora_alpha: number } =>
  JSON.parse(readFileSync(path('runs', name, 'model/adapter_config.json'), 'utf8'));

describe.skipIf(withoutPython)('LoRA with Python', () => {
  afterAll(() => warm?.close());

  beforeAll(async () => {
    warm = await warmPython(folder);
    warm.run(['test/python/make_model.py', path('llama'), 'llama', 'float32']);
    const data = ['--model', path('llama'), '--data', '{data}', '--validation', '{validation}', '--output', '{work}', '--max-length', '64'];
    const settings = [...data, '--learning-rate', '0.01', '--batch-size', '8'];
    const environment = { OMP_NUM_THREADS: '1' };
    const examples = join(root, 'examples/hf-sft');
    const trainers = {
      lora: { command: [...warm.command('lora.py'), ...settings, '--rank', '4'], folder: examples, environment },
      ranked: {
        command: [...warm.command(join(root, 'test/python/lora_of_rank.py')), '{site}', ...settings],
        folder: examples,
        environment,
      },
    };
    writeFileSync(path('site.json'), JSON.stringify({ trainers }));
  }, 120_000);

  test('svd: sites of ranks 4, 8 and 16 in one run', LONG, async () => {
    const lora = { type: 'svd', ranks: { 'site-1': 4, 'site-2': 8, 'site-3': 16 } };
    const { initial, final } = await simulate('ranks', { trainer: { name: 'ranked' }, sites: 3, quantize: 'bf16', lora });
    expect(final?.loss).toBeLessThan((initial?.loss as number) - 0.05);
    expect(config('ranks')).toMatchObject({ r: 16, lora_alpha: 32 });
    const loaded = JSON.parse(warm.run(['test/python/check_model.py', path('runs/ranks/model'), path('llama')]));
    expect(loaded.finite).toBe(true);
  });

  test('exact: PEFT loads the adapter with its stack, and computes what was trained', LONG, async () => {
    const { initial, final } = await simulate('exact', { trainer: { name: 'lora' }, sites: 2, quantize: 'fp32', lora: 'exact' });
    expect(final?.loss).toBeLessThan((initial?.loss as number) - 0.05);
    const found = JSON.parse(warm.run(['test/python/check_stack.py', path('runs/exact'), '2', path('llama')]));
    // Two sites of rank 4 leave over 4 directions in each of two rounds.
    expect(found.rank).toBe(4 + 2 * 4);
    expect(found.apart).toBeLessThan(1e-4);
    expect(found.without).toBeGreaterThan(10 * found.apart);
  });

  test('ffa: the program keeps A as it began, and sends half', LONG, async () => {
    const { initial, final, bytes } = await simulate('ffa', { trainer: { name: 'lora' }, sites: 2, quantize: 'fp32', lora: 'ffa' });
    expect(final?.loss).toBeLessThan((initial?.loss as number) - 0.02);
    // An adapter of the small model is a little over half A: B of two sites in two rounds, and heads.
    const whole = statSync(path('runs/ffa/model/adapter_model.safetensors')).size;
    expect(bytes.up).toBeLessThan(0.65 * 2 * 2 * whole);
    expect(bytes.up).toBeGreaterThan(0.3 * 2 * 2 * whole);
  });
});
