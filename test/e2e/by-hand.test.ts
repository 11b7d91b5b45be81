// A federation started by hand: a server, its sites, and a job written in TypeScript.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { finishByHand, modelOf, run, SMALL_JOB, start, tokenOf, workFolder } from './command.js';

const folder = workFolder();

test('a server and its sites, started by hand with a TypeScript job, end with the model of a simulation', async () => {
  const job = join(folder, 'job.ts');
  writeFileSync(
    job,
    `import { defineJob } from 'fedstream';\n\nexport const job = defineJob(${JSON.stringify({ ...SMALL_JOB, rounds: 1 })});\n`,
  );
  const simulated = await run(['simulate', '--job', 'job.ts', '--name', 'simulated'], folder);
  expect(simulated.code, simulated.stderr).toBe(0);
  const server = start(['server', '--job', 'job.ts', '--listen', 'tcp://127.0.0.1:0', '--name', 'served'], folder);
  await server.until('listening on');
  const log = readFileSync(join(folder, 'runs/served/logs/server.log'), 'utf8');
  const url = /tcp:\/\/127\.0\.0\.1:\d+/.exec(log)?.[0] as string;
  mkdirSync(join(folder, 'work'));
  const work = (site: string) => `work/${site}`;
  await finishByHand(server, url, folder, { dataOf: 'simulated', work, proof: (site) => tokenOf('served', site) });
  expect(modelOf(folder, 'served').equals(modelOf(folder, 'simulated'))).toBe(true);
});

test('a client that finds no server says so, and what to do', async () => {
  const started = start(['client', '--connect', 'tcp://127.0.0.1:1', '--site', 'a', '--data', `runs/simulated/data/site-1.jsonl`], folder);
  await started.until('nobody listens there');
  started.child.kill('SIGINT');
  expect((await started.ended).code).toBe(130);
});
