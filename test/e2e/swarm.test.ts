// A swarm of processes, each started by hand: its coordinator sees no part of a model, and an aggregator
// that is killed for good in the middle of its round is replaced.
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { freePort } from '../faults/free-port.js';
import { jobFile, type Started, start, summaryOf, tokenOf, workFolder } from './command.js';

const folder = workFolder();
const SITES = ['site-1', 'site-2', 'site-3'];
/** In turn: site-1, site-2, site-3. */
const JOB = { rounds: 3, sites: 3, quantize: 'u4', workflow: { type: 'swarm', order: 'roundRobin' } };

/** Passes everything on, and counts its bytes in both directions. */
async function countingProxy(targetPort: number): Promise<{ port: number; bytes: () => number; close(): void }> {
  let bytes = 0;
  const server = createServer((near) => {
    const far = connect(targetPort, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (part: Buffer) => {
        bytes += part.length;
      });
      from.on('error', () => {});
      from.on('close', () => to.destroy());
      from.pipe(to);
    }
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return { port, bytes: () => bytes, close: () => server.close() };
}

/** The model that a site has put down; undefined where it has none. */
function modelAt(site: string): Buffer | undefined {
  const work = join(folder, 'killed', site);
  const place = readdirSync(work).find((name) => name.startsWith('model-'));
  return place === undefined ? undefined : readFileSync(join(work, place, 'model.safetensors'));
}

/** Resolves once the site's log has the text. */
async function logged(site: string, text: string): Promise<void> {
  const log = join(folder, 'killed', site, 'client.log');
  for (;;) {
    if (existsSync(log) && readFileSync(log, 'utf8').includes(text)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('an aggregator that is killed is replaced, and no model passes the server', { timeout: 120_000 }, async () => {
  // A model whose tensors are larger, coded, than all that a coordinator has to say.
  const model = { hiddenSize: 128, layers: 2, heads: 4, kvHeads: 2, ffnSize: 352, vocabularySize: 300 };
  jobFile(folder, { ...JOB, model });
  const port = await freePort();
  const server = start(['server', '--job', 'job.json', '--listen', `tcp://127.0.0.1:${port}`, '--name', 'killed'], folder);
  await server.until('listening on');
  const proxy = await countingProxy(port);
  mkdirSync(join(folder, 'killed'));
  const sites: Record<string, Started> = {};
  for (const site of SITES) {
    const swarm = ['--swarm-listen', `tcp://127.0.0.1:${await freePort()}`, '--swarm-allow', '127.0.0.1', '--hold-out', '10'];
    const own = ['--data', `runs/killed/data/${site}.jsonl`, '--work', join('killed', site), ...tokenOf('killed', site)];
    sites[site] = start(
      ['client', '--connect', `tcp://127.0.0.1:${proxy.port}`, '--site', site, '--threads', '1', ...own, ...swarm],
      folder,
    );
  }
  await logged('site-2', '"label":"r2.1"');
  sites['site-2']?.child.kill('SIGKILL');
  const { code, stderr } = await server.ended;
  expect(code, stderr).toBe(0);
  for (const site of ['site-1', 'site-3']) {
    const ended = await (sites[site] as Started).ended;
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.stderr).toMatch(/the model is in .*model-/);
  }
  proxy.close();
  const [first, third] = [modelAt('site-1'), modelAt('site-3')];
  expect(first?.length).toBeGreaterThan(1_000_000);
  expect(third?.equals(first as Buffer)).toBe(true);
  expect(modelAt('site-2')).toBeUndefined();
  expect(summaryOf(folder, 'killed').warnings.join('\n')).toMatch(/round 2 begins again: site-2, its aggregator/);
  // The coded tensors have an eighth of the model's bytes; what passed the server, in three rounds and one that was
  // begun twice, with the texts of the tokenizer for each site, is less than one such model.
  expect(proxy.bytes()).toBeLessThan((first as Buffer).length / 8);
  const kept = readdirSync(join(folder, 'runs', 'killed'), { recursive: true, encoding: 'utf8' });
  expect(kept.filter((name) => name.endsWith('.safetensors'))).toEqual([join('state', 'swarm-0003.safetensors')]);
  expect(kept.filter((name) => name.endsWith('.spool'))).toEqual([]);
});
