// Strangers before a server's process: more sockets than it has descriptors, and pages of the web.
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { finishByHand, jobFile, modelOf, run, type Started, start, startLimited, tokenOf, workFolder } from '../e2e/command.js';

const folder = workFolder();
let job = '';
const ending: (() => unknown)[] = [];
afterEach(() => {
  for (const end of ending.splice(0)) end();
});
beforeAll(async () => {
  job = jobFile(folder);
  const { code, stderr } = await run(['simulate', '--job', job, '--name', 'first'], folder);
  expect(code, stderr).toBe(0);
});

const logOf = (name: string): string => readFileSync(join(folder, 'runs', name, 'logs/server.log'), 'utf8');

async function urlOf(started: Started, name: string): Promise<string> {
  await started.until('listening on');
  ending.push(() => started.child.kill('SIGKILL'));
  return /"url":"([^"]+)"/.exec(logOf(name))?.[1] as string;
}

async function finishes(server: Started, url: string, name: string): Promise<void> {
  const work = (site: string) => `work/${name}-${site}`;
  await finishByHand(server, url, folder, { dataOf: 'first', work, proof: (site) => tokenOf(name, site) });
  expect(modelOf(folder, name).equals(modelOf(folder, 'first'))).toBe(true);
}

const LIMIT = 200;
test.runIf(process.platform === 'linux').each(['tcp', 'ws', 'http', 'grpc'])(
  'budget reservedDescriptors, over %s: with more strangers than descriptors a server does its job',
  async (scheme) => {
    const name = `crowd-${scheme}`;
    const server = startLimited(LIMIT, ['server', '--job', job, '--name', name, '--listen', `${scheme}://127.0.0.1:0`], folder);
    const url = await urlOf(server, name);
    const port = Number(/:(\d+)/.exec(url.slice(scheme.length + 3))?.[1]);
    const sockets = new Set<Socket>();
    let over = false;
    ending.push(() => {
      over = true;
      for (const socket of sockets) socket.destroy();
    });
    const crowd = (): void => {
      if (over) return;
      const socket = connect(port, '127.0.0.1');
      sockets.add(socket);
      socket
        .on('error', () => {})
        .once('close', () => {
          sockets.delete(socket);
          setTimeout(crowd, 1_000);
        });
      socket.resume();
    };
    for (let i = 0; i < 2 * LIMIT; i++) crowd();
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    await finishes(server, url, name);
    expect(logOf(name)).toMatch(/short of file descriptors; raise its limit \(ulimit -n\)/);
    expect(logOf(name)).not.toMatch(/caught by nobody|EMFILE/);
  },
);

/** The status with which the server answers a request of a browser. */
function statusOf(url: string, headers: Record<string, string>): Promise<number> {
  const isSocket = url.startsWith('ws:');
  const upgrade = {
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Protocol': 'fedstream.1',
  };
  const to = isSocket ? url.replace('ws:', 'http:') : `${url}/fedstream/1`;
  return new Promise((resolve, reject) => {
    const asked = request(to, { method: isSocket ? 'GET' : 'POST', headers: { ...(isSocket ? upgrade : {}), ...headers }, agent: false });
    asked.on('upgrade', (_, socket) => {
      socket.destroy();
      resolve(101);
    });
    asked.on('response', (response) => {
      response.resume();
      resolve(response.statusCode as number);
    });
    asked.on('error', reject).end();
  });
}

test.each([
  ['ws', 101],
  ['http', 201],
])('over %s a page gets in only from an allowed origin, and no name of somebody else leads to the server', async (scheme, welcome) => {
  const name = `pages-${scheme}`;
  const options = ['--allow-origin', 'https://lab.example', '--allow-host', 'fed.example'];
  const server = start(['server', '--job', job, '--name', name, '--listen', `${scheme}://127.0.0.1:0/fed`, ...options], folder);
  const url = await urlOf(server, name);
  expect(await statusOf(url, {})).toBe(welcome);
  expect(await statusOf(url, { Origin: 'https://lab.example' })).toBe(welcome);
  expect(await statusOf(url, { Host: 'fed.example' })).toBe(welcome);
  expect(await statusOf(url, { Origin: 'https://evil.example' })).toBe(403);
  expect(await statusOf(url, { Origin: new URL(url.replace('ws:', 'http:')).origin })).toBe(403);
  expect(await statusOf(url, { Host: 'rebound.example' })).toBe(421);
  expect(await statusOf(url.replace('/fed', '/other'), {})).toBe(404);
  expect(logOf(name)).toMatch(/is a page of https:\/\/evil\.example; to let its pages in, give --allow-origin https:\/\/evil\.example/);
  expect(logOf(name)).toMatch(/asked for the host rebound\.example; if that is a name of this server, give --allow-host rebound\.example/);
});

test.each([
  [['--allow-origin', 'lab.example'], /"lab\.example" is not an origin; write scheme:\/\/host/],
  [['--allow-host', 'https://fed.example'], /"https:\/\/fed\.example" is not a host; write a name/],
])('%j is one clear line', async (options, line) => {
  const { code, stderr } = await run(['server', '--job', job, '--name', 'wrong', '--listen', 'ws://127.0.0.1:0', ...options], folder);
  expect(code).not.toBe(0);
  expect(stderr).toMatch(line);
});
