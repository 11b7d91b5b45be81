// Failures end with one clear line and an exit code, and nothing that was finished is lost.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { jobFile, modelOf, run, start, summaryOf, workFolder } from './command.js';

const folder = workFolder();

/** The one line that reports the failure. */
function errorLine(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => /^(fedstream|error):/.test(line));
  expect(lines, stderr).toHaveLength(1);
  return lines[0] as string;
}

async function refused(args: readonly string[]): Promise<{ line: string; code: number | string }> {
  const { code, stderr } = await run(args, folder);
  return { line: errorLine(stderr), code };
}

function file(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, text);
  return path;
}

test.each<[string, () => string[], RegExp]>([
  ['an unknown codec', () => ['simulate', '--codec', 'int3'], /no codec "int3".*nf4/],
  ['an unknown option', () => ['simulate', '--coddec', 'nf4'], /unknown option/],
  ['a number that is none', () => ['simulate', '--rounds', '-3'], /whole number from 1 on/],
  ['an unknown field', () => ['simulate', '--job', jobFile(folder, { train: { learningRte: 1 } })], /train\.learningRte: unknown field/],
  ['a field of the wrong kind', () => ['simulate', '--job', jobFile(folder, { rounds: 'five' })], /job\.json: rounds:/],
  ['a missing job', () => ['simulate', '--job', 'no-such.json'], /no job file/],
  ['missing data', () => ['simulate', '--data', 'no-such.jsonl'], /there is no data file no-such\.jsonl/],
  [
    'a line that is no JSON',
    () => ['simulate', '--strict', '--data', file('broken.jsonl', '{"prompt":"a","completion":"b"}\n{"prompt":\n')],
    /broken\.jsonl line 2: not JSON/,
  ],
  [
    'a field that is missing',
    () => ['simulate', '--strict', '--data', file('short.json', '[\n{"instruction":"a","output":"b"},\n{"instruction":"a","output":7}\n]')],
    /short\.json line 3 \(item 2\): output/,
  ],
  [
    'a model folder without a model',
    () => ['simulate', '--model', file('empty/config.json', '{}').replace('/config.json', '')],
    /config\.json/,
  ],
  ['a file that is no safetensors file', () => ['inspect', file('lie.safetensors', 'hello world, this is not it')], /lie\.safetensors/],
  ['a run that is none', () => ['simulate', '--resume', 'nowhere'], /is not a run folder/],
])('%s: one line, exit code 2', async (_, args, message) => {
  const { line, code } = await refused(args());
  expect(line).toMatch(message);
  expect(code).toBe(2);
});

test('a run folder that exists is not overwritten', async () => {
  const job = jobFile(folder, { rounds: 1 });
  expect((await run(['simulate', '--job', job, '--name', 'taken'], folder)).code).toBe(0);
  const before = modelOf(folder, 'taken');
  const again = await refused(['simulate', '--job', job, '--name', 'taken']);
  expect(again.line).toMatch(/already holds a run/);
  expect(modelOf(folder, 'taken').equals(before)).toBe(true);
});

test('a port in use is reported in one line', async () => {
  const holder = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => holder.once('listening', resolve));
  const { port } = holder.address() as { port: number };
  const { line, code } = await refused(['simulate', '--job', jobFile(folder), '--listen', `tcp://127.0.0.1:${port}`]);
  holder.close();
  expect(line).toMatch(new RegExp(`${port}.*in use`));
  expect(code).toBe(1);
});

/** The pid of a site's process, found by its command line. */
function siteProcess(runName: string, site: string): number {
  const { stdout } = spawnSync('pgrep', ['-f', `client.*--site ${site} .*${runName}/`], { encoding: 'utf8' });
  return Number(stdout.trim().split('\n')[0]);
}

const LONG = { rounds: 2, train: { localSteps: 150, batchSize: 8, maxTokens: 48, learningRate: 0.01, warmupSteps: 2 } };

test('a site that dies in a round is left out, and the rounds complete on quorum', async () => {
  const job = jobFile(folder, { ...LONG, sites: 3, quorum: 2, idleMs: 1_000 });
  const started = start(['simulate', '--job', job, '--name', 'death'], folder);
  await started.until('round 1/2');
  await new Promise((resolve) => setTimeout(resolve, 300));
  process.kill(siteProcess('death', 'site-3'), 'SIGKILL');
  const { code, stderr } = await started.ended;
  expect(code, stderr).toBe(0);
  expect(stderr).toMatch(/goes on without site-3: was not connected for 1 s/);
  expect(summaryOf(folder, 'death').rounds).toHaveLength(2);
});

test('without a quorum the run stops, says why, and how to go on', async () => {
  const job = jobFile(folder, { ...LONG, sites: 2, quorum: 2, idleMs: 1_000 });
  const started = start(['simulate', '--job', job, '--name', 'lonely'], folder);
  await started.until('round 1/2');
  await new Promise((resolve) => setTimeout(resolve, 300));
  process.kill(siteProcess('lonely', 'site-2'), 'SIGKILL');
  const { code, stderr } = await started.ended;
  expect(code).toBe(1);
  expect(stderr).toMatch(/needs 2 results and can get at most 1 of 2: site-2 was not connected/);
  expect(stderr).toContain('simulate --resume');
});

test('Ctrl-C keeps what is finished; the printed command ends with the model of a run that never stopped', async () => {
  const job = jobFile(folder, { ...LONG, rounds: 3 });
  const straight = await run(['simulate', '--job', job, '--name', 'straight'], folder);
  expect(straight.code, straight.stderr).toBe(0);
  const started = start(['simulate', '--job', job, '--name', 'stopped'], folder);
  await started.until('round 2/3');
  await new Promise((resolve) => setTimeout(resolve, 200));
  started.child.kill('SIGINT');
  const { code, stderr } = await started.ended;
  expect(code, stderr).toBe(130);
  const line = /npx fedstream (simulate --resume \S+)/.exec(stderr)?.[1] as string;
  expect(readFileSync(join(folder, 'runs/stopped/journal.jsonl'), 'utf8').trim().split('\n')).toHaveLength(2);
  const resumed = await run(line.split(' '), folder);
  expect(resumed.code, resumed.stderr).toBe(0);
  expect(modelOf(folder, 'stopped').equals(modelOf(folder, 'straight'))).toBe(true);
  const steps = (name: string) =>
    readFileSync(join(folder, 'runs', name, 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n').length;
  expect(steps('stopped')).toBe(steps('straight'));
});
