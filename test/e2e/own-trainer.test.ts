// A federation whose sites train with a program of their own, and offer the initial model.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { breadth } from '../breadth.js';
import { modelOf, run, summaryOf, workFolder } from './command.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const PROGRAM = join(root, 'test/bridge/programs/add-one.mjs');
const folder = workFolder();

function siteFile(name: string, command: readonly string[], more: Record<string, unknown> = {}): string {
  const path = join(folder, `${name}.json`);
  writeFileSync(path, JSON.stringify({ trainers: { own: { command, ...more } } }));
  return path;
}

function simulate(name: string, siteConfig: string, ...args: string[]) {
  const job = join(folder, 'job.json');
  writeFileSync(job, JSON.stringify({ trainer: { name: 'own' }, sites: 2, rounds: 2, idleMs: 3000, data: { generated: 100 } }));
  return run(['simulate', '--job', job, '--site-config', siteConfig, '--name', name, ...args], folder);
}

/** The float32 values of a model of one small tensor. */
function valuesOf(name: string): number[] {
  const bytes = modelOf(folder, name);
  const start = 8 + Number(bytes.readBigUInt64LE());
  return Array.from({ length: (bytes.length - start) / 4 }, (_, i) => bytes.readFloatLE(start + i * 4));
}

test.each(breadth(['fp32', 'nf4'], ['nf4']))(
  '%s: the first site offers the model, both train it, the server has its figures',
  async (codec) => {
    const ended = await simulate(`offered-${codec}`, siteFile('good', [process.execPath, PROGRAM]), '--codec', codec);
    expect(ended.code, ended.stderr).toBe(0);
    expect(valuesOf(`offered-${codec}`)).toEqual([2, 2.5, 3]);
    const summary = summaryOf(folder, `offered-${codec}`);
    expect(summary.final).toMatchObject({ round: 2, exactMatch: null, samples: 8 });
    expect(summary.final?.loss).toBeCloseTo(1 / 3, 6);
    expect(summary.rounds[0]?.sites['site-1']).toMatchObject({ trainLoss: 1, samples: 2, steps: 1, metrics: { rounds: 2 } });
    expect(summary.rounds[1]?.sites['site-2']).toMatchObject({ trainLoss: 0.5 });
    const log = readFileSync(join(folder, `runs/offered-${codec}/logs/site-1.log`), 'utf8');
    expect(log).toContain('working');
    expect(log).toContain('the server has the initial model');
    expect(ended.stderr).not.toContain('exact match');
    expect(existsSync(join(folder, `runs/offered-${codec}/report.html`))).toBe(true);
  },
);

test('a program that crashes is one error with the end of its output, and the run goes on from its last round', async () => {
  const crashed = await simulate('crashed', siteFile('bad', [process.execPath, PROGRAM, 'crash', '2']), '--codec', 'fp32');
  expect(crashed.code).toBe(1);
  expect(crashed.stderr).toMatch(
    /fedstream: .*round needs 2 results.*site-[12] the trainer "own" ended with exit code 1 in round 2; the end of its output: .*on purpose/,
  );
  const resumed = await run(
    ['simulate', '--resume', 'runs/crashed', '--site-config', siteFile('good', [process.execPath, PROGRAM])],
    folder,
  );
  expect(resumed.code, resumed.stderr).toBe(0);
  expect(valuesOf('crashed')).toEqual([2, 2.5, 3]);
});

test('a job that names a trainer needs a site that has it', async () => {
  const none = await run(['simulate', '--trainer', 'own'], folder);
  expect(none.code).toBe(1);
  expect(none.stderr).toMatch(/asks for the trainer "own", which this site has not registered: name its file with --site-config/);
  const other = await run(['simulate', '--trainer', 'other', '--site-config', siteFile('good', ['x'])], folder);
  expect(other.stderr).toMatch(/"other".*good\.json has own/);
});

test('the example in TypeScript learns', async () => {
  const command = [process.execPath, join(root, 'node_modules/jiti/lib/jiti-cli.mjs'), 'trainer.ts'];
  const config = siteFile('typescript', command, { folder: join(root, 'examples/custom-trainer') });
  const ended = await simulate('typescript', config, '--codec', 'fp32', '--rounds', '12');
  expect(ended.code, ended.stderr).toBe(0);
  const { initial, final } = summaryOf(folder, 'typescript');
  expect(final?.loss).toBeLessThan((initial?.loss as number) / 20);
});
