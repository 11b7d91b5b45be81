// The page of the studies is made from the rows in the tree; and the studies themselves, in
// miniature.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parseJob } from '../../src/kit/kit.js';
import { generateTasks, splitByFamily } from '../../src/trainer/data/generate/generate-tasks.js';

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const load = (path: string): Promise<unknown> => import(at(path));

interface Page {
  readonly page: string;
  readonly plots: Readonly<Record<string, string>>;
}
const { evidencePage } = (await load('bench/evidence/page.mjs')) as {
  evidencePage(rows: { convergence: unknown[]; pretrained: unknown[]; adapters?: unknown[]; simulated: unknown[] }): Page;
};
const { readRows } = (await load('bench/evidence/rows.mjs')) as { readRows(file: string): unknown[] };

test('docs/evidence.md and its plots are those of the rows', () => {
  const [convergence = [], pretrained = [], adapters = [], simulated = []] = [
    'convergence/results.jsonl',
    'pretrained/results.jsonl',
    'pretrained/lora.jsonl',
    'pretrained/gpu-simulated.jsonl',
  ].map((file) => readRows(at(`bench/${file}`)));
  const { page, plots } = evidencePage({ convergence, pretrained, adapters, simulated });
  expect(readFileSync(at('docs/evidence.md'), 'utf8'), 'run node bench/evidence.mjs').toBe(page);
  const there = readdirSync(at('docs/images')).filter((name) => name.startsWith('evidence-'));
  expect(there.sort()).toEqual(Object.keys(plots).sort());
  for (const [name, svg] of Object.entries(plots)) expect(readFileSync(at(`docs/images/${name}`), 'utf8'), name).toBe(svg);
});

test('rules against a site that lies: held against honest sites, in words', () => {
  const losses: Readonly<Record<string, number>> = { 'none fedAvg': 1, 'none median': 1.01, 'noise fedAvg': 3, 'noise median': 1.02 };
  const convergence = Object.entries(losses).flatMap(([run, loss]) =>
    [1, 2, 3, 4, 5].map((seed) => {
      const [attack, arm] = run.split(' ');
      return { study: 'A', attack, arm, seed, initial: 6, final: loss * (1 + 0.001 * Math.sin(seed + loss)) };
    }),
  );
  const { page } = evidencePage({ convergence, pretrained: [], simulated: [] });
  expect(page).toMatch(/^\| fedAvg \| 5 \| 0.9998 \| {2}\| {2}\| {2}\| what the others are held against \|$/m);
  expect(page).toMatch(/^\| median \| 5 .* \+1\.0. % to \+1\.[01]. % \| < .001 \| holds \|$/m);
  expect(page).toMatch(/^\| fedAvg \| 5 .* 1.000 \| \*\*does not hold\*\* \|$/m);
  expect(page.match(/^### .*$/gm)).toEqual(['### All five sites are honest', '### The liar sends noise of the norm of its update']);
});

test('adapters: each way of averaging beside the mean of the factors', () => {
  const adapters = readRows(at('bench/pretrained/lora.jsonl'));
  const { page } = evidencePage({ convergence: [], pretrained: [], adapters, simulated: [] });
  expect(page.match(/^\| (factors|ffa|exact|svd) \| [\d.]+ \| [\d.]+ \|/gm)).toHaveLength(4);
  expect(page).not.toMatch(/NaN|undefined|Infinity|\[object/);
});

const bytes = { down: 9, up: 9, laterDown: 6, laterUp: 1, fp32LaterDown: 32, fp32LaterUp: 16, ratio: 0.2 };
const LOSSES: Readonly<Record<string, number>> = { fp32: 1, floor: 1.00001, lean: 1.001, 'paper:nf4': 1.7 };
const wobble = (seed: number, arm: string): number => 1 + 0.0004 * Math.sin(seed * 7 + arm.length);

test('a page of every study: a line an arm, tests in words, plots without holes', () => {
  const arms = Object.keys(LOSSES);
  const runs = [1, 2, 3, 4].flatMap((seed) => arms.map((arm) => ({ arm, seed, loss: (LOSSES[arm] as number) * wobble(seed, arm) })));
  const convergence = [{ study: 'S' }, { study: 'P' }, { study: 'N', alpha: 0.1 }, { study: 'N', alpha: 0.05 }].flatMap((study) =>
    runs.map(({ loss, ...run }) => ({ ...study, ...run, initial: 6, rounds: [2, loss], final: loss, bytes, seconds: 9 })),
  );
  const pretrained = runs.map(({ loss, ...run }) => ({
    ...run,
    size: 'cpu',
    dtype: 'float32',
    data: { a: { name: 'one.json', sha256: 'ab'.repeat(32) }, b: { name: 'generated: facts' } },
    initial: { a: 2, b: 3 },
    received: [
      { a: 2, b: 3 },
      { a: 1.5, b: 2.5 },
    ],
    final: { a: loss, b: 2 * loss },
    bytes,
    device: 'cpu, 2 threads',
    versions: { torch: '2', transformers: '5' },
  }));
  const simulated = readRows(at('bench/pretrained/gpu-simulated.jsonl'));
  const { page, plots } = evidencePage({ convergence, pretrained, simulated });
  expect(page.match(/^## .*$/gm)?.map((line) => line.slice(3, 20))).toEqual([
    'Method',
    'A pretrained LLM:',
    'S: a small model ',
    'P: a trained mode',
    'N: strongly uneve',
    'The exchange simu',
  ]);
  expect(page.match(/^\| lean \| 4 .*within 1 % of fp32/gm)).toHaveLength(5);
  expect(page.match(/^\| paper:nf4 \| 4 .*\*\*worse than fp32, significantly\*\*/gm)).toHaveLength(5);
  expect(page).toContain('| 6.00 + 2.00 | 12.5 % |');
  const flowing = page.replaceAll('\n', ' ');
  expect(flowing).toContain('one.json (SHA-256 abababababababab…)');
  expect(flowing).toContain('a power of more than 99.9 %');
  for (const line of page.split('\n')) if (!/^[|#!]/.test(line)) expect(line.length, line).toBeLessThanOrEqual(100);
  expect(Object.keys(plots)).toHaveLength(5);
  expect(plots['evidence-pretrained-curves.svg']?.match(/<polyline/g)).toHaveLength(4);
  expect(plots['evidence-n.svg']?.match(/<circle/g)).toHaveLength(4);
  for (const text of [page, ...Object.values(plots)]) expect(text).not.toMatch(/NaN|undefined|Infinity|\[object/);
});

test('the floor arm is the same mathematics: batches in halves, and a federation that ends elsewhere by rounding alone', async () => {
  const { federate } = (await load('bench/convergence/federate.mjs')) as {
    federate(job: object, data: object): Promise<{ initial: number; rounds: number[]; final: number; bytes: Record<string, number> }>;
  };
  const sites = ['site-1', 'site-2'];
  const samples = generateTasks(1, 200);
  const data = { bySite: splitByFamily(samples.slice(20), sites, 1), validation: samples.slice(0, 20) };
  const model = { hiddenSize: 32, layers: 1, heads: 2, kvHeads: 1, ffnSize: 64, vocabularySize: 300 };
  const job = (train: object): object => ({
    seed: 1,
    rounds: 2,
    sites: 2,
    quantize: 'fp32',
    model,
    train: { localSteps: 4, maxTokens: 64, ...train },
  });
  const whole = await federate(job({ batchSize: 8 }), data);
  const halves = await federate(job({ batchSize: 4, accumulate: 2 }), data);
  expect(whole.rounds).toHaveLength(2);
  expect(whole.final).toBeLessThan(whole.initial);
  expect(halves.final).not.toBe(whole.final);
  expect(Math.abs(Math.log(halves.final / whole.final))).toBeLessThan(1e-5);
  // The seed makes the initial model at each site, so that only one of two broadcasts is sent.
  expect(whole.bytes.down).toBeGreaterThan(whole.bytes.fp32LaterDown as number);
  expect(whole.bytes.down).toBeLessThan((whole.bytes.fp32Down as number) * 0.6);
  expect(whole.bytes.fp32LaterUp).toBe((whole.bytes.fp32Up as number) / 2);
});

test('a study is planned whole, seed by seed, and an arm of today is a job', async () => {
  type Run = { study: string; arm: string; seed: number; alpha?: number };
  const { planOf, jobOf } = (await load('bench/convergence/studies.mjs')) as {
    planOf(of: { study: string[]; arms?: string[]; seeds?: number[] }): Run[];
    jobOf(run: Run, base: string): unknown;
  };
  expect(['S', 'P', 'N'].map((study) => planOf({ study: [study] }).length)).toEqual([8 * 14, 6 * 8, 5 * 9 * 2]);
  const some = planOf({ study: ['N'], arms: ['floor', 'fp32'], seeds: [4] });
  expect(some.map(({ arm, alpha }) => `${arm} ${alpha}`)).toEqual(['fp32 0.1', 'floor 0.1', 'fp32 0.05', 'floor 0.05']);
  for (const arm of ['fp32', 'floor', 'nf4']) parseJob(jobOf({ study: 'P', arm, seed: 1 }, 'base'), arm);
});

test.each([
  ['convergence.mjs', ['--study', 'S,X'], "option '--study <list>' argument 'S,X' is invalid. X is none of S, P, N, A, T."],
  [
    'pretrained.mjs',
    ['--size', 'tpu'],
    "option '--size <name>' argument 'tpu' is invalid. tpu is none of tiny, cpu, gpu, lora-tiny, lora-cpu.",
  ],
])('%s has --help, and names a wrong value', (name, wrong, message) => {
  const run = (args: string[]) => spawnSync(process.execPath, [at(`bench/${name}`), ...args], { encoding: 'utf8' });
  const help = run(['--help']);
  expect(help.status, help.stderr).toBe(0);
  expect(help.stdout).toContain('Examples:');
  const failed = run(wrong);
  expect(failed.status).toBe(2);
  expect(failed.stderr).toContain(message);
});

test('a missing file is reported in one line', () => {
  const cache = at('.tmp/none');
  const { status, stderr } = spawnSync(
    process.execPath,
    [at('bench/pretrained.mjs'), '--data-a', 'nowhere.json', '--data-b', 'nowhere.json', '--cache', cache],
    { encoding: 'utf8' },
  );
  expect(status).toBe(2);
  expect(stderr).toMatch(/^fedstream: .*nowhere\.json.*\n$/);
  expect(existsSync(cache)).toBe(false);
});
