// Messages that other WebSocket programs may send: fragments, pings between them, all sizes.
import { createConnection } from 'node:net';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { Connection } from '../../driver/driver.js';
import { SUBPROTOCOL } from '../../driver/web-socket-client.js';
import { ws } from './ws.js';

async function served(): Promise<{ url: string; connection: Promise<Connection>; close(): Promise<void> }> {
  let accept: (connection: Connection) => void = () => {};
  const connection = new Promise<Connection>((resolve) => {
    accept = resolve;
  });
  const listener = await ws().listen?.('ws://127.0.0.1:0', accept);
  if (!listener) throw new Error('ws cannot listen');
  return { url: listener.url, connection, close: () => listener.close() };
}

const bytesOf = (length: number, seed: number): Buffer => Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 7 + seed * 13) & 0xff));

test('fragments, pings between them, and messages of every size come as they were', async () => {
  const { url, connection, close } = await served();
  const client = new WebSocket(url, SUBPROTOCOL, { perMessageDeflate: false });
  await new Promise((resolve) => client.once('open', resolve));
  const server = await connection;
  const pongs: string[] = [];
  client.on('pong', (bytes) => pongs.push(bytes.toString()));
  const sizes = [1, 125, 126, 4_000, 16_384, 65_535, 65_536, 65_537, 200_000, 1_000_000, 3];
  const frames = server[Symbol.asyncIterator]();
  for (let turn = 0; turn < 4; turn++) {
    for (const [i, size] of sizes.entries()) {
      const bytes = bytesOf(size, i + turn);
      const half = Math.floor(size / 2);
      if (i % 3 === 0 && half > 0) {
        client.send(bytes.subarray(0, half), { binary: true, fin: false });
        client.ping(`ping ${turn} ${i}`);
        client.send(bytes.subarray(half), { binary: true, fin: true });
      } else client.send(bytes);
    }
    const held: Uint8Array[] = [];
    for (const _ of sizes) held.push((await frames.next()).value as Uint8Array);
    // All are compared at the end: none may lie in memory that was given back.
    for (const [i, size] of sizes.entries()) expect(Buffer.compare(held[i] as Uint8Array, bytesOf(size, i + turn)), `${turn} ${i}`).toBe(0);
    for (const frame of held) server.release?.(frame);
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(pongs.length).toBeGreaterThan(0);
  expect(pongs.every((pong) => /^ping \d \d+$/.test(pong))).toBe(true);
  client.close(1000);
  await server.closed;
  await close();
});

test('budget pings: a peer that pings and never reads costs no memory, and is cut off', async () => {
  const { url, connection, close } = await served();
  const { port, host } = new URL(url.replace('ws:', 'http:'));
  const socket = createConnection(Number(port), '127.0.0.1').on('error', () => {});
  socket.write(
    `GET / HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ${SUBPROTOCOL}\r\n\r\n`,
  );
  const server = await connection;
  socket.pause();
  const ping = Buffer.concat([Buffer.of(0x89, 0x80 | 125, 0, 0, 0, 0), Buffer.alloc(125, 7)]);
  const pings = Buffer.concat(new Array(1000).fill(ping));
  const before = process.memoryUsage();
  for (let i = 0; i < 300; i++) await new Promise((resolve) => socket.write(pings, resolve));
  const after = process.memoryUsage();
  expect(after.heapUsed + after.external - before.heapUsed - before.external).toBeLessThan(40e6);
  expect(await server.closed).toMatchObject({ code: 'limit', message: expect.stringMatching(/more than 1000 pings/) });
  socket.destroy();
  await close();
});
