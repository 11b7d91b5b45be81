// Listeners as strangers find them: sockets that say nothing, pages, and requests that no client sends.
import { once } from 'node:events';
import { connect as connectHttp2, constants } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { BUDGETS } from '../../core/budgets.js';
import { ConnectionGate, type GateLimits } from '../../driver/connection-gate.js';
import type { Connection, DriverOptions } from '../../driver/driver.js';
import { striped } from '../../driver/striped.js';
import { SUBPROTOCOL } from '../../driver/web-socket-client.js';
import { throwawayAuthority } from '../tls/throwaway-certificates.js';
import { CONNECT_PATH, HTTP2_WINDOW_BYTES } from './grpc-stream.js';
import { nodeDrivers } from './node-drivers.js';
import type { TlsMaterial } from './tls.js';

const PLAIN = ['tcp', 'ws', 'http', 'grpc'];
const SECURED = ['tcps', 'wss', 'https', 'grpcs'];
let material: TlsMaterial;
beforeAll(async () => {
  const authority = await throwawayAuthority();
  material = { ca: authority.ca, certificateOptional: true, ...(await authority.issue('localhost')) };
});

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A listener behind a gate, and what strangers see of it. */
async function listening(scheme: string, limits: GateLimits = {}, options: DriverOptions = {}, path = '') {
  const refused: string[] = [];
  const accepted: Connection[] = [];
  const gate = new ConnectionGate((_, error) => void refused.push(error.message), limits);
  const driver = nodeDrivers(material);
  const onRefused = (peer: string, error: Error): void => void (gate.told(peer) || refused.push(error.message));
  const server = striped(driver, 1);
  const listener = await server.listen?.(`${scheme}://localhost:0${path}`, (connection) => void accepted.push(connection), {
    gate,
    onRefused,
    ...options,
  });
  if (!listener) throw new Error('this driver cannot listen');
  const port = Number(/:(\d+)(?:\/|$)/.exec(listener.url.slice(scheme.length + 3))?.[1]);
  closing.push(() => gate.close());
  closing.push(() => listener.close());
  const raw = async (
    bytes = '',
    isSecure = false,
  ): Promise<{ readonly socket: Socket; said(): string; readonly ended: Promise<unknown> }> => {
    const socket = isSecure ? connectTls({ port, host: 'localhost', ca: material.ca }) : connect(port, 'localhost');
    let said = '';
    socket
      .on('error', () => {})
      .on('data', (some) => {
        said += some;
      });
    const ended = once(socket, 'close');
    closing.push(() => socket.destroy());
    await once(socket, isSecure ? 'secureConnect' : 'connect');
    if (bytes) socket.write(bytes);
    return { socket, said: () => said, ended };
  };
  return { url: listener.url, port, gate, refused, accepted, raw, driver };
}

/** An HTTP request as text; its host is that of the listener, unless the headers say another. */
function request(method: string, path: string, headers: Readonly<Record<string, string>> = {}): string {
  const lines = Object.entries({ Host: 'localhost', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

/** Asks for a connection over HTTP on a socket of its own; resolves with its id. */
async function openedId(raw: Awaited<ReturnType<typeof listening>>['raw']): Promise<string> {
  const { said } = await raw(request('POST', '/fedstream/1', { 'Content-Length': '0' }));
  await vi.waitFor(() => expect(said()).toMatch(/[0-9a-f]{32}/));
  return /[0-9a-f]{32}/.exec(said())?.[0] as string;
}

const UPGRADE = {
  Upgrade: 'websocket',
  Connection: 'Upgrade',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Protocol': SUBPROTOCOL,
};

test.each([...PLAIN, ...SECURED])(
  'over %s an admitted peer is pending no more, and a closed one is gone, in stripes too',
  async (scheme) => {
    const { url, gate, accepted, driver } = await listening(scheme);
    for (const stripes of [1, 3]) {
      const client = await striped(driver, stripes).connect(url);
      await client.send(Uint8Array.of(1));
      await vi.waitFor(() => expect(accepted).toHaveLength(1));
      const [server] = accepted.splice(0) as [Connection];
      expect((await server[Symbol.asyncIterator]().next()).value).toEqual(Uint8Array.of(1));
      expect(gate.size).toBeGreaterThanOrEqual(stripes);
      expect(gate.waiting).toBeGreaterThan(0);
      server.admitted?.();
      // Only sockets that carry no request now: a client keeps them for the next one.
      await vi.waitFor(() => expect(gate.size - gate.waiting).toBeGreaterThanOrEqual(stripes));
      if (!scheme.startsWith('http')) expect(gate.waiting).toBe(0);
      await Promise.all([client.close(), server.close()]);
      await vi.waitFor(() => expect(gate.size).toBe(0), 10_000);
    }
  },
);

test.each([...PLAIN, ...SECURED])(
  'budget pendingOfAddress, over %s: sockets that say nothing make room, and have one line each',
  async (scheme) => {
    const { url, gate, refused, raw, driver } = await listening(scheme, { pendingOfAddress: 4 });
    const silent = [];
    for (let i = 0; i < 4; i++) silent.push(await raw());
    await vi.waitFor(() => expect(gate.waiting).toBe(4));
    await new Promise((resolve) => setTimeout(resolve, 2_100));
    const client = await driver.connect(url);
    await silent[0]?.ended;
    await vi.waitFor(() => expect(refused.filter((line) => line.includes('was cut off')).length).toBe(refused.length));
    expect(refused.length).toBeLessThanOrEqual(2);
    await client.close();
  },
);

test.each(SECURED)('budget handshakeMs, over %s: a handshake that is never finished ends', async (scheme) => {
  const { refused, raw, gate } = await listening(scheme, {}, { connectTimeoutMs: 500 });
  const { ended } = await raw(Buffer.from('16030100c8010000c40303', 'hex').toString('latin1'));
  await ended;
  await vi.waitFor(() => expect(gate.size).toBe(0));
  expect(refused).toEqual([expect.stringMatching(/was not let in: it did not finish the TLS handshake in time|TLS failed/)]);
});

test.each(['ws', 'wss', 'http', 'https'])('budget handshakeMs, over %s: the head of a request that dribbles ends', async (scheme) => {
  const { refused, raw } = await listening(scheme, {}, { connectTimeoutMs: 1_000 });
  const { socket, ended } = await raw('GET / HT', SECURED.includes(scheme));
  const timer = setInterval(() => socket.write('x'), 100);
  await ended;
  clearInterval(timer);
  expect(refused).toHaveLength(1);
});

test.each(['ws', 'http'])('budget headBytes, over %s: a longer head is refused', async (scheme) => {
  const { raw, refused } = await listening(scheme);
  const { ended } = await raw(request('GET', '/', { Cookie: 'x'.repeat(BUDGETS.headBytes.limit) }));
  await ended;
  expect(refused).toHaveLength(1);
});

test.each([
  [{}, 101],
  [{ Origin: 'https://lab.example' }, 101],
  [{ Origin: 'https://evil.example' }, 403],
  [{ Origin: 'http://localhost' }, 403],
  [{ Origin: 'null' }, 403],
  [{ Host: 'public.example' }, 101],
  [{ Host: 'rebound.example' }, 421],
])('over ws: a handshake with %o is answered %i', async (headers, status) => {
  const options = { origins: ['https://lab.example'], hosts: ['public.example'] };
  const { raw, refused, accepted } = await listening('ws', {}, options, '/fed');
  const { said } = await raw(request('GET', '/fed', { ...UPGRADE, ...headers }));
  await vi.waitFor(() => expect(said()).toMatch(new RegExp(`^HTTP/1.1 ${status} `)));
  await vi.waitFor(() => expect([refused.length, accepted.length]).toEqual(status === 101 ? [0, 0] : [1, 0]));
  if (status !== 101) expect(refused[0]).toMatch(/--allow-(origin|host) /);
});

test.each(['/', '/fed/ration', '/other', '/fed?x=1', '//fed'])('over ws: the path %s is not /fed', async (path) => {
  const { raw, refused } = await listening('ws', {}, {}, '/fed');
  const { said, ended } = await raw(request('GET', path, UPGRADE));
  await ended;
  expect(said()).toMatch(/^HTTP\/1\.1 404 /);
  expect(refused).toEqual([expect.stringMatching(/asked for a WebSocket at another path than \/fed/)]);
});

test.each([
  [{}, 201],
  [{ Origin: 'https://lab.example' }, 201],
  [{ Origin: 'https://evil.example' }, 403],
  [{ 'Sec-Fetch-Site': 'cross-site' }, 403],
  [{ Host: 'rebound.example' }, 421],
])('over http: a request with %o is answered %i', async (headers, status) => {
  const { raw, refused } = await listening('http', {}, { origins: ['https://lab.example'] }, '/fed');
  const { said } = await raw(request('POST', '/fed/fedstream/1', { 'Content-Length': '0', ...headers }));
  await vi.waitFor(() => expect(said()).toMatch(new RegExp(`^HTTP/1.1 ${status} `)));
  expect(refused).toHaveLength(status === 201 ? 0 : 1);
  const letIn = status === 201 && 'Origin' in headers;
  expect(/access-control-allow-origin: (.*)\r/.exec(said())?.[1]).toBe(letIn ? 'https://lab.example' : undefined);
});

test('over http: only an allowed origin gets an answer to its preflight, and another path is none of ours', async () => {
  const { raw } = await listening('http', {}, { origins: ['https://lab.example'] }, '/fed');
  const asks = (origin: string) => raw(request('OPTIONS', '/fed/fedstream/1', { Origin: origin, 'Access-Control-Request-Method': 'POST' }));
  const [lab, evil] = [await asks('https://lab.example'), await asks('https://evil.example')];
  await vi.waitFor(() => expect(lab.said()).toMatch(/^HTTP\/1\.1 204 [\s\S]*access-control-allow-methods: GET, POST, DELETE/));
  await vi.waitFor(() => expect(evil.said()).toMatch(/^HTTP\/1\.1 403 /));
  expect(evil.said()).not.toContain('access-control');
  for (const path of ['/fedstream/1', '/x/fed/fedstream/1', '/fed/fedstream/1/']) {
    const { said } = await raw(request('POST', path, { 'Content-Length': '0' }));
    await vi.waitFor(() => expect(said()).toMatch(/^HTTP\/1\.1 404 /));
  }
});

test('over http: requests that do not wait for their answers fill no socket', async () => {
  const { raw, refused, accepted } = await listening('http');
  const id = await openedId(raw);
  const { ended } = await raw(request('GET', `/fedstream/1/${id}`) + request('GET', '/fedstream/1/x').repeat(50));
  await ended;
  expect(refused).toEqual([expect.stringMatching(/sends requests before their turn on one socket/)]);
  await vi.waitFor(() => expect(accepted.length).toBeLessThanOrEqual(1));
});

test('budget openedIds: who asks for many connections has an old id forgotten, never more of them', async () => {
  const { raw } = await listening('http');
  const { socket, said } = await raw();
  const ids: string[] = [];
  for (let i = 0; i < BUDGETS.openedIds.limit + 1; i++) {
    const before = said().length;
    socket.write(request('POST', '/fedstream/1', { 'Content-Length': '0' }));
    await vi.waitFor(() => expect(said().slice(before)).toMatch(/[0-9a-f]{32}/), { interval: 1 });
    ids.push(/[0-9a-f]{32}/.exec(said().slice(before))?.[0] as string);
  }
  for (const [id, status] of [
    [ids[0], 404],
    [ids.at(-1), 200],
  ]) {
    const down = await raw(request('GET', `/fedstream/1/${id}`));
    await vi.waitFor(() => expect(down.said()).toMatch(new RegExp(`^HTTP/1.1 ${status} `)));
  }
});

test('budget httpRequestsAhead: more requests before their turn end the connection, and no body of them is read on', async () => {
  const { raw, accepted } = await listening('http');
  const id = await openedId(raw);
  const down = await raw(request('GET', `/fedstream/1/${id}`));
  await vi.waitFor(() => expect(down.said()).toMatch(/^HTTP\/1\.1 200 /));
  const early = [];
  for (let turn = 1; turn <= BUDGETS.httpRequestsAhead.limit + 1; turn++)
    early.push(await raw(request('POST', `/fedstream/1/${id}/${turn}`, { 'Transfer-Encoding': 'chunked' })));
  await Promise.all([down.ended, ...early.map(({ ended }) => ended)]);
  expect(accepted.length).toBeLessThanOrEqual(1);
});

test.each(['http', 'https'])(
  'budget httpKeptSockets, over %s: a crowd of strangers takes no socket from a peer that has proved its name',
  async (scheme) => {
    const { url, gate, accepted, raw, driver } = await listening(scheme, { pendingOfAddress: 4 });
    const client = await driver.connect(url);
    await client.send(Uint8Array.of(1));
    await vi.waitFor(() => expect(accepted).toHaveLength(1));
    const [server] = accepted as [Connection];
    server.admitted?.();
    const frames = server[Symbol.asyncIterator]();
    expect((await frames.next()).value).toEqual(Uint8Array.of(1));
    // Old sockets go before young ones, and where all are young no new one is let in.
    await new Promise((resolve) => setTimeout(resolve, 2_100));
    for (let i = 0; i < 8; i++) await raw();
    await vi.waitFor(() => expect(gate.waiting).toBe(4));
    await client.send(Uint8Array.of(2));
    expect((await frames.next()).value).toEqual(Uint8Array.of(2));
    await Promise.all([client.close(), server.close()]);
  },
);

test('budget httpKeptSockets: more of them give way as pending ones do, and all once the connection has ended', async () => {
  const { raw, accepted, gate } = await listening('http');
  const id = await openedId(raw);
  await raw(request('GET', `/fedstream/1/${id}`));
  const frame = '\x01\0\0\0!';
  const post = (turn: number) => request('POST', `/fedstream/1/${id}/${turn}`, { 'Content-Length': String(frame.length) }) + frame;
  const { limit } = BUDGETS.httpKeptSockets;
  const posts: Awaited<ReturnType<typeof raw>>[] = [];
  for (let turn = 0; turn <= limit; turn++) posts.push(await raw(post(turn)));
  for (const { said } of posts) await vi.waitFor(() => expect(said()).toMatch(/^HTTP\/1\.1 204 /));
  expect(accepted).toHaveLength(1);
  expect(gate.waiting).toBe(limit + 3);
  accepted[0]?.admitted?.();
  // The socket on which the id was asked for was never a kept one.
  await vi.waitFor(() => expect(gate.waiting).toBe(2));
  posts[0]?.socket.write(post(limit + 1));
  await vi.waitFor(() => expect(posts[0]?.said()).toMatch(/204[\s\S]* 204 /));
  expect(gate.waiting).toBe(2);
  void accepted[0]?.close(new Error('enough'));
  await vi.waitFor(() => expect(gate.waiting).toBe(2 + limit));
});

test('over http: a request may end with frames that are held back until the peer has proved its name', async () => {
  const accepted: Connection[] = [];
  const listener = await nodeDrivers(material).listen?.('http://localhost:0', (connection) => {
    connection.readOne?.(1_024); // as a session does, for the hello
    accepted.push(connection);
  });
  closing.push(() => listener?.close());
  const base = `${listener?.url.replace(/\/$/, '')}/fedstream/1`;
  const id = await (await fetch(base, { method: 'POST' })).text();
  const down = new AbortController();
  closing.push(() => down.abort());
  void fetch(`${base}/${id}`, { signal: down.signal }).catch(() => {});
  await vi.waitFor(() => expect(accepted).toHaveLength(1));
  const sent = await fetch(`${base}/${id}/0`, { method: 'POST', body: Buffer.from('\x01\0\0\0a\x02\0\0\0bc', 'latin1') });
  expect(sent.status).toBe(204);
  const [connection] = accepted as [Connection];
  const found: string[] = [];
  const reading = (async () => {
    for await (const frame of connection) {
      found.push(Buffer.from(frame).toString());
      if (found.length === 1) connection.readOn?.();
    }
  })().catch(() => {});
  await vi.waitFor(() => expect(found).toEqual(['a', 'bc']));
  void connection.close(new Error('enough'));
  await reading;
});

test('budget headFields: no client sends so many, and what is beyond is not kept', async () => {
  const { raw, refused } = await listening('http');
  const many = Object.fromEntries(Array.from({ length: BUDGETS.headFields.limit }, (_, i) => [`x-${i}`, '1']));
  const { said } = await raw(request('POST', '/fedstream/1', { ...many, Origin: 'https://evil.example', 'Content-Length': '0' }));
  await vi.waitFor(() => expect(said()).toMatch(/^HTTP\/1\.1 \d/));
  expect(said()).not.toMatch(/^HTTP\/1\.1 201 /);
  expect(refused).toHaveLength(1);
});

test.each(['grpc', 'grpcs'])('budget callBytesBeforeHello, over %s: the windows are narrow until a peer may send more', async (scheme) => {
  const { port, accepted, refused } = await listening(scheme);
  const client = connectHttp2(`${scheme === 'grpc' ? 'http' : 'https'}://localhost:${port}`, { ca: material.ca });
  closing.push(() => client.destroy());
  await once(client, 'remoteSettings');
  expect(client.remoteSettings.initialWindowSize).toBe(BUDGETS.callBytesBeforeHello.limit);
  const call = client.request({ ':method': 'POST', ':path': CONNECT_PATH, 'content-type': 'application/grpc', te: 'trailers' });
  call.on('error', () => {});
  call.write(Buffer.from([0, 0, 0, 0, 3, 10, 1, 7]));
  await vi.waitFor(() => expect(accepted).toHaveLength(1));
  await vi.waitFor(() => expect(client.remoteSettings.initialWindowSize).toBe(HTTP2_WINDOW_BYTES));
  expect(refused).toEqual([]);
});

test('budget callsOfSocket: one socket has so many calls at a time, and the rest waits', async () => {
  const { port, gate } = await listening('grpc');
  const client = connectHttp2(`http://localhost:${port}`);
  closing.push(() => client.destroy());
  await once(client, 'remoteSettings');
  let answered = 0;
  for (let i = 0; i < BUDGETS.callsOfSocket.limit + 20; i++) {
    const call = client.request({ ':method': 'POST', ':path': CONNECT_PATH, 'content-type': 'application/grpc' });
    call.on('error', () => {}).on('response', () => answered++);
  }
  await vi.waitFor(() => expect(answered).toBe(BUDGETS.callsOfSocket.limit));
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(answered).toBe(BUDGETS.callsOfSocket.limit);
  expect(gate.size).toBe(1);
});

test.each([
  [{ ':authority': 'rebound.example' }, 421],
  [{ origin: 'https://evil.example' }, 403],
])('over grpc: a call with %o is answered %i', async (headers, status) => {
  const { port, refused } = await listening('grpc');
  const client = connectHttp2(`http://localhost:${port}`);
  closing.push(() => client.destroy());
  const call = client.request({ ':method': 'POST', ':path': CONNECT_PATH, 'content-type': 'application/grpc', ...headers });
  const [answer] = (await once(call, 'response')) as [Record<string, unknown>];
  expect(answer[constants.HTTP2_HEADER_STATUS]).toBe(status);
  expect(refused).toEqual([expect.stringMatching(/--allow-(origin|host) /)]);
});

test('budget fragments: a message of very many pieces ends its connection', async () => {
  const { url, accepted } = await listening('ws');
  const client = new WebSocket(url, SUBPROTOCOL);
  client.on('error', () => {});
  await once(client, 'open');
  for (let i = 0; i <= BUDGETS.fragments.limit; i++) client.send('x', { binary: true, fin: false });
  await once(client, 'close');
  await vi.waitFor(() => expect(accepted).toHaveLength(1));
  expect(await accepted[0]?.closed).toMatchObject({ code: 'limit' });
});

test('a client says what to do about a name that its server does not go by', async () => {
  const { port, driver } = await listening('http');
  // The system takes this for 127.0.0.1, and a server for a name.
  await expect(driver.connect(`http://127.1:${port}`)).rejects.toMatchObject({
    code: 'refused',
    message: expect.stringMatching(/its server must be started with --allow-host \(HTTP status 421\)/),
  });
});
