// Every driver passes the same suite.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, test } from 'vitest';
import { WebSocket } from 'ws';
import type { Driver } from '../../src/driver/driver.js';
import { fetchClient } from '../../src/driver/fetch-client.js';
import { memory } from '../../src/driver/memory.js';
import { webSocketClient } from '../../src/driver/web-socket-client.js';
import { grpc, grpcs } from '../../src/node/drivers/grpc.js';
import { http, https } from '../../src/node/drivers/http.js';
import { tcp } from '../../src/node/drivers/tcp.js';
import { tcps } from '../../src/node/drivers/tcps.js';
import { uds } from '../../src/node/drivers/uds.js';
import { ws, wss } from '../../src/node/drivers/ws.js';
import { testDriver } from '../../src/testing/driver-conformance.js';
import { localMaterial } from './certificates.js';

const folder = mkdtempSync(join(tmpdir(), 'fedstream-uds-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let sockets = 0;
const newSocket = (): string => `uds://${join(folder, `${sockets++}.sock`)}`;

testDriver('memory', { make: memory, listenUrl: 'memory://suite', deadUrl: 'memory://nobody' }, test);
testDriver('tcp', { make: tcp, listenUrl: 'tcp://127.0.0.1:0', deadUrl: 'tcp://127.0.0.1:1' }, test);
testDriver(
  'uds',
  {
    make: uds,
    get listenUrl() {
      return newSocket();
    },
    deadUrl: newSocket(),
  },
  test,
);

const material = await localMaterial();
testDriver('tcps', { make: () => tcps(material), listenUrl: 'tcps://127.0.0.1:0', deadUrl: 'tcps://127.0.0.1:1' }, test);
testDriver('ws', { make: ws, listenUrl: 'ws://127.0.0.1:0/fed', deadUrl: 'ws://127.0.0.1:1/fed' }, test);
testDriver('wss', { make: () => wss(material), listenUrl: 'wss://127.0.0.1:0', deadUrl: 'wss://127.0.0.1:1' }, test);
testDriver('http', { make: http, listenUrl: 'http://127.0.0.1:0/fed', deadUrl: 'http://127.0.0.1:1/fed' }, test);
testDriver('https', { make: () => https(material), listenUrl: 'https://127.0.0.1:0', deadUrl: 'https://127.0.0.1:1' }, test);
testDriver('grpc', { make: grpc, listenUrl: 'grpc://127.0.0.1:0', deadUrl: 'grpc://127.0.0.1:1' }, test);
testDriver('grpcs', { make: () => grpcs(material), listenUrl: 'grpcs://localhost:0', deadUrl: 'grpcs://127.0.0.1:1' }, test);

// What a page has, joined to a server that listens on Node.
const page = (client: Driver, server: Driver): Driver => ({ ...server, connect: client.connect });
testDriver(
  'ws of a page',
  {
    make: () => page(webSocketClient({ webSocket: WebSocket as never }), ws()),
    listenUrl: 'ws://127.0.0.1:0/fed',
    deadUrl: 'ws://127.0.0.1:1/fed',
  },
  test,
);
testDriver(
  'http of a page',
  { make: () => page(fetchClient(), http()), listenUrl: 'http://127.0.0.1:0/fed', deadUrl: 'http://127.0.0.1:1/fed' },
  test,
);
