// A user's kit: a workflow from outside of the package, with real processes and sites without the
// kit.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import { freePort } from '../faults/free-port.js';
import { modelOf, run, SMALL_JOB, start, tokenOf, workFolder } from './command.js';

const folder = workFolder();
const KIT = fileURLToPath(new URL('../../examples/own-workflow/kit.ts', import.meta.url));
const JOB = { ...SMALL_JOB, rounds: 3, sites: 3, workflow: { type: 'sampled', fraction: 0.67 } };

beforeAll(() => writeFileSync(join(folder, 'job.json'), JSON.stringify(JOB)));

function drawn(name: string): string[][] {
  const lines = readFileSync(join(folder, 'runs', name, 'logs/server.log'), 'utf8')
    .trim()
    .split('\n');
  return lines
    .map((line) => JSON.parse(line) as { msg: string; sites: string[] })
    .flatMap(({ msg, sites }) => (msg.startsWith('drew') ? [sites] : []));
}

test('server --kit, sites without it: killed and started again, it draws the same sites and ends with the same bits', async () => {
  const quiet = await run(['simulate', '--job', 'job.json', '--kit', KIT, '--name', 'quiet'], folder);
  expect(quiet.code, quiet.stderr).toBe(0);
  expect(drawn('quiet').map((sites) => sites.length)).toEqual([2, 2, 2]);

  const port = await freePort();
  const listen = ['--listen', `tcp://127.0.0.1:${port}`, '--kit', KIT];
  let server = start(['server', '--job', 'job.json', '--name', 'killed', ...listen], folder);
  await server.until('listening on');
  const sites = ['site-1', 'site-2', 'site-3'].map((site) =>
    start(
      [
        'client',
        '--connect',
        `tcp://127.0.0.1:${port}`,
        '--site',
        site,
        '--threads',
        '1',
        '--work',
        site,
        '--data',
        `runs/quiet/data/${site}.jsonl`,
        ...tokenOf('killed', site),
      ],
      folder,
    ),
  );
  await server.until('round 1/3');
  server.child.kill('SIGKILL');
  await server.ended;
  server = start(['server', '--resume', 'runs/killed', ...listen], folder);
  for (const one of [server, ...sites]) {
    const { code, stderr } = await one.ended;
    expect(code, stderr).toBe(0);
  }
  expect(drawn('killed').slice(-3)).toEqual(drawn('quiet'));
  expect(modelOf(folder, 'killed').equals(modelOf(folder, 'quiet'))).toBe(true);
}, 180_000);

test('a sink of a kit gets the events of a simulation', async () => {
  const kit = `
    import { appendFileSync } from 'node:fs';
    import { row } from 'fedstream';
    import { z } from 'zod';
    const made = ({ path }) => async () => ({ emit: ({ type }) => appendFileSync(path, type + '\\n'), close: async () => {} });
    export const kit = { sinks: [row('kinds', z.strictObject({ path: z.string() }), made)] };`;
  writeFileSync(join(folder, 'sinks.ts'), kit);
  writeFileSync(join(folder, 'plain.json'), JSON.stringify({ ...SMALL_JOB, rounds: 1 }));
  const command = ['simulate', '--job', 'plain.json', '--kit', 'sinks.ts', '--name', 'sinks', '--sink'];
  const { code, stderr } = await run([...command, '{"type": "kinds", "path": "kinds.txt"}'], folder);
  expect(code, stderr).toBe(0);
  const kinds = readFileSync(join(folder, 'kinds.txt'), 'utf8').trim().split('\n');
  expect(kinds).toEqual(expect.arrayContaining(['run-started', 'step', 'transfer', 'round-finished', 'run-finished']));
  const wrong = await run([...command, 'kind'], folder);
  expect(wrong.stderr).toMatch(/sink "kind": there is no sink "kind"; the sinks are files, jsonl, kinds/);
}, 60_000);

test.each([
  [
    'export const kit = { workflow: [] };',
    /there is no table workflow; a kit has codecs, filters, aggregators, workflows, trainers, sinks/,
  ],
  ['export const kit = { workflows: [() => {}] };', /workflows is a list of rows, each made by row\(name, options, make\)/],
  ['export const other = 1;', /export the kit: `export const kit = \{ workflows: \[ … \] \}`/],
  ['export const kit = {', /bad\.ts: /],
])('a file that is no kit: %s', async (text, message) => {
  writeFileSync(join(folder, 'bad.ts'), text);
  const { code, stderr } = await run(['server', '--job', 'job.json', '--kit', 'bad.ts'], folder);
  expect(code).not.toBe(0);
  expect(stderr).toMatch(message);
});

test('workflow and aggregator by name on the command line', async () => {
  writeFileSync(join(folder, 'plain.json'), JSON.stringify({ ...SMALL_JOB, rounds: 2 }));
  const command = ['simulate', '--job', 'plain.json', '--workflow', 'cyclic', '--aggregator', 'momentum', '--name', 'named'];
  const { code, stderr } = await run(command, folder);
  expect(code, stderr).toBe(0);
  const job = JSON.parse(readFileSync(join(folder, 'runs/named/job.json'), 'utf8')) as object;
  expect(job).toMatchObject({ workflow: { type: 'cyclic', order: 'fixed' }, aggregator: { type: 'momentum', momentum: 0.9, rate: 1 } });
}, 60_000);

test('a workflow that no kit has: the names that there are', async () => {
  const { code, stderr } = await run(['server', '--job', 'job.json'], folder);
  expect(code).not.toBe(0);
  expect(stderr).toMatch(/workflow: there is no workflow "sampled"; the workflows are cyclic, .*fedAvg, .*scaffold/);
});
