// Messages arrive unchanged however a client's bytes are split, from the handshake on.
import { connect } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Connection } from '../../driver/driver.js';
import { SUBPROTOCOL } from '../../driver/web-socket-client.js';
import { turned, unmask } from './unmask.js';
import { ws } from './ws.js';

const HANDSHAKE = `GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ${SUBPROTOCOL}\r\n\r\n`;
const BINARY = 2;
const PING = 9;

const content = (bytes: number, seed: number): Buffer =>
  Buffer.from(Uint8Array.from({ length: bytes }, (_, i) => (i * 7 + seed * 13) & 0xff));

/** A WebSocket frame of a client. */
function frame(opcode: number, payload: Buffer, { fin = true, wide = false }: { fin?: boolean; wide?: boolean } = {}): Buffer {
  const mask = Uint8Array.of(payload.length & 0xff, 17, 0, 201);
  const { length } = payload;
  const size = wide || length > 65_535 ? Buffer.alloc(9, 127) : length > 125 ? Buffer.alloc(3, 126) : Buffer.of(length);
  if (size.length === 9) size.writeBigUInt64BE(BigInt(length), 1);
  if (size.length === 3) size.writeUInt16BE(length, 1);
  size[0] = (size[0] as number) | 0x80;
  const masked = Buffer.from(payload);
  unmask(masked, mask);
  return Buffer.concat([Buffer.of((fin ? 0x80 : 0) | opcode), size, mask, masked]);
}

interface Told {
  readonly how: 'whole' | 'wide' | 'parts' | 'ping before';
  readonly bytes: number;
}

function told({ how, bytes }: Told, seed: number): Buffer {
  const all = content(bytes, seed);
  if (how === 'ping before') return Buffer.concat([frame(PING, Buffer.from('?')), frame(BINARY, all)]);
  if (how !== 'parts') return frame(BINARY, all, { wide: how === 'wide' });
  const half = all.length >> 1;
  return Buffer.concat([frame(BINARY, all.subarray(0, half), { fin: false }), frame(PING, Buffer.from('!')), frame(0, all.subarray(half))]);
}

const one = fc.record({
  how: fc.constantFrom<Told['how']>('whole', 'whole', 'wide', 'parts', 'ping before'),
  bytes: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 400_000 }), fc.constantFrom(125, 126, 65_535, 65_536)),
});
const cut = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 100_000 }));

test('messages of every kind and size, cut anywhere', async () => {
  let accept: (connection: Connection) => void = () => {};
  const listener = await ws().listen?.('ws://127.0.0.1:0', (connection) => accept(connection));
  const port = Number(/:(\d+)/.exec(listener?.url.slice(5) ?? '')?.[1]);
  await fc.assert(
    fc.asyncProperty(
      fc.array(one, { minLength: 1, maxLength: 9 }),
      fc.array(cut, { minLength: 3, maxLength: 20 }),
      async (messages, cuts) => {
        const arriving = new Promise<Connection>((resolve) => {
          accept = resolve;
        });
        const bytes = Buffer.concat([Buffer.from(HANDSHAKE), ...messages.map(told)]);
        const socket = connect(port, '127.0.0.1').setNoDelay(true).resume();
        socket.on('error', () => {});
        let at = 0;
        const next = (i: number): void => {
          if (at >= bytes.length) return;
          // The handshake may come together with the first messages.
          const piece = bytes.subarray(at, at + (i === 0 ? HANDSHAKE.length : 0) + ([...cuts, 50_000][i % (cuts.length + 1)] as number));
          at += piece.length;
          socket.write(piece);
          if (i % 4 === 0 && i < 30) setTimeout(next, 1, i + 1);
          else next(i + 1);
        };
        next(0);
        const server = await arriving;
        const frames = server[Symbol.asyncIterator]();
        for (const [seed, { bytes: length }] of messages.entries()) {
          const { value } = await frames.next();
          expect(Buffer.compare(value as Uint8Array, content(length, seed))).toBe(0);
          server.release?.(value as Uint8Array);
          if (seed === 1) await new Promise((resolve) => setTimeout(resolve, 3)); // the sender is stopped meanwhile
        }
        socket.destroy();
        await server.closed;
      },
    ),
    { seed: 3, numRuns: 60 },
  );
  await listener?.close();
});

test('a mask is taken off anywhere, in parts', () => {
  const mask = Uint8Array.of(1, 2, 3, 250);
  const numbers = fc.integer({ min: 0, max: 40 });
  fc.assert(
    fc.property(numbers, numbers, numbers, (start, first, second) => {
      const memory = content(start + first + second, 5);
      const bytes = new Uint8Array(Uint8Array.from(memory).buffer, start);
      unmask(bytes.subarray(0, first), mask);
      unmask(bytes.subarray(first), turned(mask, first));
      expect([...bytes]).toEqual([...memory.subarray(start)].map((byte, i) => byte ^ (mask[i % 4] as number)));
    }),
    { seed: 1 },
  );
});

test.each([
  ['a frame that is not masked', Buffer.of(0x82, 1, 7)],
  ['text', frame(1, Buffer.from('hello'))],
  ['an extension that was not asked for', Buffer.concat([Buffer.of(0xc2), frame(BINARY, Buffer.from('x')).subarray(1)])],
  ['a message inside another', Buffer.concat([frame(BINARY, Buffer.from('x'), { fin: false }), frame(BINARY, Buffer.from('y'))])],
  ['a length above every limit', Buffer.concat([Buffer.of(0x82, 0xff), Buffer.alloc(8, 0xff), Buffer.alloc(40)])],
  ['nothing', frame(BINARY, Buffer.alloc(0))],
])('%s ends the connection', async (_, bytes) => {
  let accept: (connection: Connection) => void = () => {};
  const arriving = new Promise<Connection>((resolve) => {
    accept = resolve;
  });
  const listener = await ws().listen?.('ws://127.0.0.1:0', (connection) => accept(connection));
  const socket = connect(Number(/:(\d+)/.exec(listener?.url.slice(5) ?? '')?.[1]), '127.0.0.1').resume();
  socket.on('error', () => {});
  socket.write(Buffer.concat([Buffer.from(HANDSHAKE), bytes]));
  const server = await arriving;
  expect(await server.closed).toBeInstanceOf(Error);
  socket.destroy();
  await listener?.close();
});
