// A small main job: real processes, real sockets, every codec and every streaming mode.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { breadth } from '../breadth.js';
import { jobFile, lossesOf, modelOf, run, summaryOf, workFolder } from './command.js';

const folder = workFolder();
let job = '';

beforeAll(() => {
  job = jobFile(folder);
});

async function simulate(name: string, ...args: string[]) {
  const ended = await run(['simulate', '--job', job, '--name', name, ...args], folder);
  expect(ended.code, ended.stderr).toBe(0);
  return { ...ended, summary: summaryOf(folder, name) };
}

test('the run folder has everything, and the summary its figures', async () => {
  const { summary, stdout, stderr } = await simulate('full', '--json');
  expect(JSON.parse(stdout)).toEqual(summary);
  expect(stderr).toContain('round 2/2');
  expect(summary).toMatchObject({ codec: 'u4', streaming: 'file', sites: ['site-1', 'site-2'], reason: 'all rounds are done' });
  expect(summary.final?.loss).toBeLessThan(summary.initial?.loss as number);
  expect(summary.rounds).toHaveLength(2);
  for (const round of summary.rounds) {
    for (const site of Object.values(round.sites)) {
      expect(site.trainLoss).toBeGreaterThan(0);
      expect(site.samples).toBeGreaterThan(0);
      expect(site.bytesDown).toBeGreaterThan(0);
      expect(site.bytesUp).toBeLessThan(site.fp32BytesUp / 3);
    }
  }
  expect(Object.keys(summary.peakRssBytes).sort()).toEqual(['server', 'simulator', 'site-1', 'site-2']);
  expect(lossesOf(folder, 'full')).toHaveLength(2 * 2 * 4);
  const path = join(folder, 'runs', 'full');
  for (const file of [
    'report.html',
    'job.json',
    'journal.jsonl',
    'events.jsonl',
    'logs/server.log',
    'logs/site-1.log',
    'model/config.json',
    'model/tokenizer.json',
  ]) {
    expect(existsSync(join(path, file)), file).toBe(true);
  }
  expect(readFileSync(join(folder, 'runs', 'latest', 'report.html'), 'utf8')).toContain('</html>');
});

test.each(breadth(['fp32', 'fp16', 'bf16', 'blockwise8', 'fp4', 'nf4', 'nf4-nested', 'u2', 'lean', 'paper:nf4'], ['lean']))(
  'codec %s completes the job',
  async (codec) => {
    const { summary } = await simulate(`codec-${codec.replace(':', '-')}`, '--codec', codec);
    expect(summary.codec).toBe(codec);
    expect(summary.final?.loss).toBeLessThan(summary.initial?.loss as number);
  },
);

test('every streaming mode carries the same bytes to the same model', async () => {
  for (const mode of ['container', 'regular']) await simulate(mode, '--streaming', mode);
  // Of the first run, whose mode is file.
  expect(modelOf(folder, 'container').equals(modelOf(folder, 'full'))).toBe(true);
  expect(modelOf(folder, 'regular').equals(modelOf(folder, 'full'))).toBe(true);
});

test('one seed gives one model, another seed another', async () => {
  await simulate('seed-a', '--seed', '5');
  await simulate('seed-b', '--seed', '5');
  await simulate('seed-c', '--seed', '6');
  expect(modelOf(folder, 'seed-a').equals(modelOf(folder, 'seed-b'))).toBe(true);
  expect(modelOf(folder, 'seed-a').equals(modelOf(folder, 'seed-c'))).toBe(false);
});

test('one site in fp32 that keeps its optimizer state is central training, step by step, bit for bit', async () => {
  await simulate('alone', '--sites', '1', '--codec', 'fp32', '--rounds', '3');
  const central = await run(['train', '--job', job, '--sites', '1', '--rounds', '3', '--threads', '2', '--name', 'central'], folder);
  expect(central.code, central.stderr).toBe(0);
  expect(lossesOf(folder, 'alone')).toHaveLength(12);
  expect(lossesOf(folder, 'alone')).toEqual(lossesOf(folder, 'central'));
  expect(modelOf(folder, 'alone').equals(modelOf(folder, 'central'))).toBe(true);
});

test('full weights both ways, filters of the job, and a model folder of one run as the start of the next', async () => {
  await simulate('weights', '--no-delta');
  const own = jobFile(folder, { filters: { 'result-out': [{ type: 'exclude', patterns: ['*norm*'] }] }, sites: 3, quorum: 2 });
  const ended = await run(['simulate', '--job', own, '--name', 'filtered'], folder);
  expect(ended.code, ended.stderr).toBe(0);
  job = jobFile(folder);
  const { summary } = await simulate('next', '--model', join(folder, 'runs', 'weights', 'model'));
  expect(summary.initial?.loss).toBeCloseTo(summaryOf(folder, 'weights').final?.loss as number, 6);
  // The sites have the folder, so that only the manifest of the initial model is sent.
  for (const site of Object.values(summary.rounds[0]?.sites ?? {})) {
    expect(site.bytesDown).toBeLessThan(4_000);
    expect(site.fp32BytesDown).toBeGreaterThan(20_000);
  }
});

test('inspect shows a model and a run', async () => {
  const model = await run(['inspect', 'runs/full/model', '--json'], folder);
  expect(JSON.parse(model.stdout).tied).toEqual({ 'lm_head.weight': 'model.embed_tokens.weight' });
  const shown = await run(['inspect', 'runs/full'], folder);
  expect(shown.stdout).toContain('all rounds are done');
});
