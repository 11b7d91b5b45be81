// Drivers on a Node with unknown internals: they never read directly into their final buffers, and
// pass the suite nevertheless.
import { vi } from 'vitest';
import { grpc } from '../../src/node/drivers/grpc.js';
import { http } from '../../src/node/drivers/http.js';
import { tcp } from '../../src/node/drivers/tcp.js';
import { ws } from '../../src/node/drivers/ws.js';
import { tryDriver } from './try-driver.js';

vi.mock('../../src/node/drivers/direct-reads.js', async (original) => ({
  ...(await original<typeof import('../../src/node/drivers/direct-reads.js')>()),
  readInto: () => false,
  readStreamInto: () => false,
}));

for (const [scheme, make] of Object.entries({ tcp, ws, http, grpc })) {
  const [listenUrl, deadUrl] = [`${scheme}://127.0.0.1:0`, `${scheme}://127.0.0.1:1`];
  tryDriver(`${scheme} without direct reads`, { connects: 100, make, listenUrl, deadUrl });
}
