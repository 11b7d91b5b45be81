// Every driver passes the same suite. Where somebody waits for it, one of each kind does: most code of
// a driver is the same within TLS and without, and driver-plain-reads.test.ts has those without.
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { WebSocket } from 'ws';
import type { Driver } from '../../src/driver/driver.js';
import { fetchClient } from '../../src/driver/fetch-client.js';
import { memory } from '../../src/driver/memory.js';
import { striped } from '../../src/driver/striped.js';
import { webSocketClient } from '../../src/driver/web-socket-client.js';
import { grpc, grpcs } from '../../src/node/drivers/grpc.js';
import { http, https } from '../../src/node/drivers/http.js';
import { tcp } from '../../src/node/drivers/tcp.js';
import { tcps } from '../../src/node/drivers/tcps.js';
import { uds } from '../../src/node/drivers/uds.js';
import { ws, wss } from '../../src/node/drivers/ws.js';
import type { DriverUnderTest } from '../../src/testing/driver-pairs.js';
import { IS_FULL } from '../breadth.js';
import { localMaterial } from './certificates.js';
import { tryDriver } from './try-driver.js';

const folder = mkdtempSync(join(tmpdir(), 'fedstream-uds-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let sockets = 0;
const newSocket = (): string => `uds://${join(folder, `${sockets++}.sock`)}`;

/**
 * Writes bytes of a peer that does not speak the driver's protocol; the server may hang up first.
 */
function raw(url: string, bytes: Uint8Array): Promise<void> {
  const path = url.startsWith('uds:') ? url.slice('uds://'.length) : undefined;
  const socket = path ? connect(path) : connect(Number(/:(\d+)/.exec(url.slice(6))?.[1]), '127.0.0.1');
  return new Promise((resolve) => {
    socket.on('error', () => {});
    socket.on('close', () => resolve());
    socket.resume();
    socket.end(bytes);
  });
}

tryDriver('memory', { make: memory, listenUrl: 'memory://suite', deadUrl: 'memory://nobody' });
tryDriver('tcp', { make: tcp, raw, listenUrl: 'tcp://127.0.0.1:0', deadUrl: 'tcp://127.0.0.1:1' });
tryDriver('uds', {
  make: uds,
  raw,
  get listenUrl() {
    return newSocket();
  },
  deadUrl: newSocket(),
});

const material = await localMaterial();
if (IS_FULL) tryDriver('tcps', { make: () => tcps(material), raw, listenUrl: 'tcps://127.0.0.1:0', deadUrl: 'tcps://127.0.0.1:1' });
if (IS_FULL) tryDriver('ws', { make: ws, raw, listenUrl: 'ws://127.0.0.1:0/fed', deadUrl: 'ws://127.0.0.1:1/fed' });
tryDriver('wss', { make: () => wss(material), raw, listenUrl: 'wss://127.0.0.1:0', deadUrl: 'wss://127.0.0.1:1' });
if (IS_FULL) tryDriver('http', { make: http, raw, listenUrl: 'http://127.0.0.1:0/fed', deadUrl: 'http://127.0.0.1:1/fed' });
tryDriver('https', { connects: 700, make: () => https(material), raw, listenUrl: 'https://127.0.0.1:0', deadUrl: 'https://127.0.0.1:1' });
if (IS_FULL) tryDriver('grpc', { make: grpc, raw, listenUrl: 'grpc://127.0.0.1:0', deadUrl: 'grpc://127.0.0.1:1' });
tryDriver('grpcs', { make: () => grpcs(material), raw, listenUrl: 'grpcs://localhost:0', deadUrl: 'grpcs://127.0.0.1:1' });

// The clients of a page, with a server that listens on Node.
const page = (client: Driver, server: Driver): Driver => ({ ...server, connect: client.connect });
const PAGES: Readonly<Record<string, DriverUnderTest>> = {
  'ws of a page': {
    make: () => page(webSocketClient({ webSocket: WebSocket as never }), ws()),
    exceptions: {
      'stops a server whose client does not read':
        'the WebSocket of a page has no way to stop its sender; the windows of byte streams bound what waits',
    },
    raw,
    listenUrl: 'ws://127.0.0.1:0/fed',
    deadUrl: 'ws://127.0.0.1:1/fed',
  },
  'http of a page': {
    make: () => page(fetchClient(), http()),
    raw,
    listenUrl: 'http://127.0.0.1:0/fed',
    deadUrl: 'http://127.0.0.1:1/fed',
  },
};
if (IS_FULL) for (const [name, subject] of Object.entries(PAGES)) tryDriver(name, subject);

// Several connections that act as one.
if (IS_FULL) tryDriver('memory in stripes', { make: () => striped(memory(), 2), listenUrl: 'memory://suite', deadUrl: 'memory://nobody' });
tryDriver('tcp in stripes', {
  connects: 700,
  make: () => striped(tcp(), 3),
  raw,
  listenUrl: 'tcp://127.0.0.1:0',
  deadUrl: 'tcp://127.0.0.1:1',
});
const stripedInTls = {
  connects: 300,
  make: () => striped(wss(material), 2),
  raw,
  listenUrl: 'wss://127.0.0.1:0',
  deadUrl: 'wss://127.0.0.1:1',
};
if (IS_FULL) tryDriver('wss in stripes', stripedInTls);
