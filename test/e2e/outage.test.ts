// A server that is killed in the middle of a run: its site looks for it, and delivers to the one that is started again.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { freePort } from '../faults/free-port.js';
import { jobFile, modelOf, run, start, tokenOf, workFolder } from './command.js';

const folder = workFolder();

/** The arguments of the site; each test has a work folder of its own. */
function clientArgs(url: string, name: string, retry: string): string[] {
  const data = ['--data', 'runs/quiet/data/site-1.jsonl', '--threads', '1', '--work', `work/${name}`];
  return ['client', '--connect', url, '--site', 'site-1', ...data, '--retry', retry, ...tokenOf(name, 'site-1')];
}

test('a server is killed and resumed: the site goes on, and the model is that of an undisturbed run; without it the site ends', async () => {
  const job = jobFile(folder, { sites: 1, rounds: 2 });
  const quiet = await run(['simulate', '--job', job, '--name', 'quiet'], folder);
  expect(quiet.code, quiet.stderr).toBe(0);
  const url = `tcp://127.0.0.1:${await freePort()}`;
  const first = start(['server', '--job', job, '--listen', url, '--name', 'cut'], folder);
  await first.until('listening on');
  const site = start(clientArgs(url, 'cut', '1m'), folder);
  await site.until('joined: 2 rounds');
  first.child.kill('SIGKILL');
  await site.until('looking for the server for');
  const second = start(['server', '--resume', 'runs/cut', '--listen', url], folder);
  const [ended, served] = await Promise.all([site.ended, second.ended]);
  expect(ended.code, ended.stderr).toBe(0);
  expect(served.code, served.stderr).toBe(0);
  expect(ended.stderr).toMatch(/is there again, after/);
  expect(modelOf(folder, 'cut').equals(modelOf(folder, 'quiet'))).toBe(true);

  const third = start(['server', '--job', job, '--listen', url, '--name', 'gone'], folder);
  await third.until('listening on');
  const left = start(clientArgs(url, 'gone', '1s'), folder);
  await left.until('joined: 2 rounds');
  third.child.kill('SIGKILL');
  const { code, stderr } = await left.ended;
  expect(code, stderr).toBe(1);
  expect(stderr).toMatch(/^fedstream: .*the server was looked for in vain for .* \[closed\]$/m);
  expect(readFileSync(join(folder, 'work/gone/client.log'), 'utf8')).toContain('looked for in vain');
});
