// Looks at an address, at which anybody may listen: they end by themselves, and keep little of what comes.
import { createServer, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { BUDGETS } from '../../src/core/budgets.js';
import { identify } from '../../src/node/drivers/identify.js';
import { look } from '../../src/node/drivers/look.js';

const open: { close(): void }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

async function listening(accept: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}));
    accept(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push({
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  });
  return (server.address() as { port: number }).port;
}

test('budget lookBytes: a listener that never stops talking is cut off', async () => {
  const flood = Buffer.alloc(64 * 1024, 'x');
  const port = await listening((socket) => {
    const talk = (): void => void socket.write(flood, () => !socket.destroyed && talk());
    talk();
  });
  const { bytes } = await look({ host: '127.0.0.1', port, signal: undefined }, { send: Buffer.from('hello') });
  expect(bytes.length).toBe(BUDGETS.lookBytes.limit);
});

test('budget lookMs: a listener that says nothing holds nobody', async () => {
  const port = await listening((socket) => socket.resume());
  const beganMs = performance.now();
  const seen = await look({ host: '127.0.0.1', port, signal: undefined }, { send: Buffer.from('hello') });
  expect(seen).toEqual({ reached: true, tls: false, alpn: undefined, bytes: Buffer.alloc(0) });
  expect(performance.now() - beganMs).toBeGreaterThan(BUDGETS.lookMs.limit - 100);
  expect(performance.now() - beganMs).toBeLessThan(3 * BUDGETS.lookMs.limit);
});

test('a stop ends a look at once', async () => {
  const port = await listening((socket) => socket.resume());
  const stop = new AbortController();
  const looking = identify(`tcp://127.0.0.1:${port}`, { signal: stop.signal });
  stop.abort();
  expect(await looking).toBeUndefined();
});

test('what a listener says cannot command a terminal', async () => {
  const port = await listening((socket) => void socket.end('SSH-2.0-\u001b]0;owned\u0007\r\n'));
  const { message } = (await identify(`tcp://127.0.0.1:${port}`)) as Error;
  expect(message).toContain('an SSH server');
  for (const control of ['\u001b', '\u0007']) expect(message).not.toContain(control);
});
