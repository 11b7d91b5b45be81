// Secrets of the command: who may be a site of a server that was given none, or of a simulation, and
// what becomes of tokens.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { Session } from '../../src/frame/session.js';
import { nodeDrivers } from '../../src/node/drivers/node-drivers.js';
import { breadth } from '../breadth.js';
import { jobFile, modelOf, run, start, tokenOf, workFolder } from '../e2e/command.js';
import { Peer } from './peer.js';

const folder = workFolder();
const modeOf = (...path: string[]): number => statSync(join(folder, ...path)).mode & 0o777;
const logOf = (name: string): string => readFileSync(join(folder, 'runs', name, 'logs/server.log'), 'utf8');
const running: ReturnType<typeof start>[] = [];
let job = '';

beforeAll(async () => {
  job = jobFile(folder);
  const { code, stderr } = await run(['simulate', '--job', job, '--name', 'first'], folder);
  expect(code, stderr).toBe(0);
});

afterAll(async () => {
  for (const { child, ended } of running) {
    child.kill('SIGKILL');
    await ended;
  }
});

/** The error with which a server refuses somebody who has nothing but its address. */
async function stranger(url: string, name = 'site-1'): Promise<unknown> {
  return Peer.open(nodeDrivers(), url, { name, idleMs: 5_000 }).then(
    // A peer that shows nothing hears only afterwards what the server thinks of it.
    (peer) => peer.closed,
    (error: unknown) => error,
  );
}

test('the default server admits no other process of the machine, and says how its sites join', async () => {
  const server = start(['server', '--job', job, '--name', 'alone', '--listen', 'tcp://127.0.0.1:0'], folder);
  running.push(server);
  await server.until('site-2 joins with: ');
  const url = /"url":"([^"]+)"/.exec(logOf('alone'))?.[1] as string;
  for (const name of ['site-1', 'site-2', 'somebody'])
    expect(await stranger(url, name)).toMatchObject({ code: 'refused', message: expect.stringMatching(/the site is not admitted/) });
  expect(modeOf('runs/alone/tokens')).toBe(0o700);
  expect(readdirSync(join(folder, 'runs/alone/tokens')).sort()).toEqual(['site-1.token', 'site-2.token', 'tokens.json']);
  for (const file of readdirSync(join(folder, 'runs/alone/tokens'))) expect(modeOf('runs/alone/tokens', file)).toBe(0o600);
  const sites = ['site-1', 'site-2'].map((site) => {
    const args = ['client', '--connect', url, '--site', site, ...tokenOf('alone', site), '--data', `runs/first/data/${site}.jsonl`];
    return run([...args, '--work', `work/${site}`, '--threads', '1'], folder);
  });
  for (const { code, stderr } of await Promise.all(sites)) expect(code, stderr).toBe(0);
  const { code, stderr } = await server.ended;
  expect(code, stderr).toBe(0);
  // The command that is printed is the one that works.
  expect(stderr).toContain(
    `site-1 joins with: npx fedstream client --connect ${url} --site site-1 ${tokenOf('alone', 'site-1').join(' ')} --data FILE`,
  );
  expect(modelOf(folder, 'alone').equals(modelOf(folder, 'first'))).toBe(true);
  const tokens = ['site-1', 'site-2'].map(
    (site) =>
      readFileSync(join(folder, `runs/alone/tokens/${site}.token`), 'utf8')
        .trim()
        .split(':')[2] as string,
  );
  const said = stderr + logOf('alone') + readFileSync(join(folder, 'runs/alone/events.jsonl'), 'utf8');
  for (const secret of tokens) expect(said).not.toContain(secret);
});

test.each(breadth(['tcp', 'uds', 'ws'], ['uds']))('a simulation over %s admits no other process of the machine', async (driver) => {
  const name = `simulated-${driver}`;
  const simulation = start(['simulate', '--job', job, '--driver', driver, '--name', name, '--rounds', '30'], folder);
  running.push(simulation);
  const url = await vi.waitFor(() => {
    const found = /"url":"([^"]+)"/.exec(logOf(name))?.[1];
    expect(found).toBeDefined();
    return found as string;
  }, 60_000);
  for (const site of ['site-1', 'site-2']) expect(await stranger(url, site)).toMatchObject({ code: 'refused' });
  expect(modeOf('runs', name, 'tokens')).toBe(0o700);
  expect(modeOf('runs', name, 'tokens/site-1.token')).toBe(0o600);
  // No secret is among the arguments of a process, which everybody on the machine can read.
  const secret = readFileSync(join(folder, 'runs', name, 'tokens/site-1.token'), 'utf8')
    .trim()
    .split(':')[2] as string;
  const commands = readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      } catch {
        return '';
      }
    });
  expect(commands.filter((command) => command.includes(folder) || command.includes(name)).length).toBeGreaterThan(1);
  expect(commands.join('\n')).not.toContain(secret);
  if (driver === 'uds') expect(statSync(url.replace('uds://', '')).mode & 0o777).toBe(0o600);
  simulation.child.kill('SIGTERM');
  await simulation.ended;
  expect(logOf(name)).toMatch(/a connection was refused: site-1 shows neither a certificate nor a token/);
});

test('a server that others can reach makes no tokens by itself', async () => {
  const args = ['server', '--job', job, '--name', 'reachable', '--listen', 'tcp://0.0.0.0:0', '--allow-plain-text'];
  const { code, stderr } = await run(args, folder);
  expect(code).toBe(2);
  expect(stderr).toMatch(
    /anybody could call himself a site of this run over tcp:\/\/0\.0\.0\.0:0.*fedstream token --site NAME.*--tokens tokens\.json/,
  );
});

test('tokens are made one by one, and only on request anew', async () => {
  const token = (...args: string[]) => run(['token', '--tokens', 'made.json', '--out', 'made', ...args], folder);
  const verifiers = () => JSON.parse(readFileSync(join(folder, 'made.json'), 'utf8')) as { sites: Record<string, { storedKey: string }> };
  expect((await token('--site', 'a', '--site', 'b')).code).toBe(0);
  const first = verifiers();
  const secret = readFileSync(join(folder, 'made/a.token'), 'utf8').trim().split(':')[2] as string;
  expect(JSON.stringify(first)).not.toContain(secret);
  expect([modeOf('made'), modeOf('made.json'), modeOf('made/a.token')]).toEqual([0o700, 0o600, 0o600]);
  const again = await token('--site', 'c', '--site', 'a');
  expect(again.code).toBe(2);
  expect(again.stderr).toMatch(/made\.json has a token of a already; give --replace/);
  expect(readdirSync(join(folder, 'made')).sort()).toEqual(['a.token', 'b.token']);
  expect((await token('--site', 'c')).code).toBe(0);
  expect((await token('--site', 'a', '--replace')).code).toBe(0);
  const { sites } = verifiers();
  expect([sites.b, Object.keys(sites).sort()]).toEqual([first.sites.b, ['a', 'b', 'c']]);
  expect(sites.a?.storedKey).not.toBe(first.sites.a?.storedKey);
  expect((await token('--site', 'd', '--site', 'd')).stderr).toMatch(/--site d is given twice/);
  expect((await token('--site', '../d')).code).toBe(2);
});

test('somebody who holds the port of a server gets nothing from a site that he can use', async () => {
  const { code } = await run(['token', '--site', 'site-1', '--tokens', 'held.json', '--out', 'held'], folder);
  expect(code).toBe(0);
  const secret = readFileSync(join(folder, 'held/site-1.token'), 'utf8').trim().split(':')[2] as string;
  const heard: Buffer[] = [];
  const listener = await nodeDrivers().listen?.('tcp://127.0.0.1:0', (connection) => {
    const receive = connection[Symbol.asyncIterator].bind(connection);
    connection[Symbol.asyncIterator] = () => {
      const frames = receive();
      return {
        next: async () => {
          const next = await frames.next();
          if (!next.done) heard.push(Buffer.from(next.value));
          return next;
        },
      };
    };
    // It admits everybody, as a server without credentials would.
    void new Session(connection, { name: 'server' }).start(() => {}).catch(() => {});
  });
  const url = listener?.url as string;
  const site = [
    'client',
    '--connect',
    url,
    '--site',
    'site-1',
    '--token-file',
    'held/site-1.token',
    '--data',
    'runs/first/data/site-1.jsonl',
  ];
  const client = await run([...site, '--work', 'work/held'], folder);
  await listener?.close();
  expect(client.code).toBe(1);
  expect(client.stderr).toMatch(/sent a ping frame before it proved its name/);
  const all = Buffer.concat(heard);
  expect(all.length).toBeGreaterThan(0);
  expect(all.includes(secret) || all.includes(Buffer.from(secret, 'hex'))).toBe(false);
});
