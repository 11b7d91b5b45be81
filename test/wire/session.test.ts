// Sessions over real sockets: silence, stalls, and peers that do not speak FedStream.
import { connect, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import type { Connection } from '../../src/driver/driver.js';
import { encodeFrame, type FrameType } from '../../src/frame/frame.js';
import { pack } from '../../src/frame/pack.js';
import { Session } from '../../src/frame/session.js';
import { tcp } from '../../src/node/drivers/tcp.js';
import { memorySource } from '../../src/stream/source.js';
import { link } from './linked.js';

interface Served {
  readonly port: number;
  /** Error codes of the sessions that have ended. */
  readonly ends: string[];
  next(): Promise<Session>;
  close(): Promise<void>;
}

/** A server that opens a session on every connection. */
async function serve(idleMs: number): Promise<Served> {
  const ends: string[] = [];
  const waiting: ((session: Session) => void)[] = [];
  const accept = (connection: Connection): void => {
    const session = new Session(connection, { name: 'server', idleMs });
    void session.closed.then((error) => ends.push(error.code));
    session.handle('request', (frame) => void session.control('reply', frame.stream).catch(() => {}));
    void session.start().catch(() => {});
    waiting.shift()?.(session);
  };
  const listener = await tcp().listen?.('tcp://127.0.0.1:0', accept);
  if (!listener) throw new Error('tcp cannot listen');
  return {
    port: Number(listener.url.split(':').at(-1)),
    ends,
    next: () => new Promise((resolve) => waiting.push(resolve)),
    close: () => listener.close(),
  };
}

function raw(port: number): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.resume();
  return socket;
}

function framed(type: FrameType, header?: unknown): Buffer {
  const frame = Buffer.concat(encodeFrame(type, 0, header === undefined ? undefined : pack(header)));
  return Buffer.concat([Buffer.from(Uint32Array.of(frame.length).buffer), frame]);
}

const hello = framed('hello', { version: 1, name: 'site-a', idleMs: 60_000 });

test('a process that was suspended for longer than the limit reads its backlog before it ends a session', async () => {
  const served = await serve(200);
  const connected = served.next();
  const socket = raw(served.port);
  socket.write(hello);
  const session = await connected;
  while (session.peerName === '') await new Promise((resolve) => setTimeout(resolve, 5));
  // The pings wait in the kernel while this process computes for three times the limit.
  for (let i = 0; i < 3; i++) {
    socket.write(framed('ping'));
    const until = performance.now() + 600;
    while (performance.now() < until);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(served.ends).toEqual([]);
  await expect(session.closed).resolves.toMatchObject({ code: 'timeout', message: expect.stringContaining('site-a') });
  socket.destroy();
  await served.close();
});

test('single bytes do not keep a session alive; frames do', async () => {
  const served = await serve(300);
  const connected = served.next();
  const socket = raw(served.port);
  const session = await connected;
  const dripping = setInterval(() => socket.write(Buffer.of(24)), 20);
  await expect(session.closed).resolves.toMatchObject({ code: expect.stringMatching(/timeout|limit/) });
  clearInterval(dripping);
  socket.destroy();
  await served.close();
});

test('a slow transfer in a live session may take any time', async () => {
  const linked = await link(tcp(), 'tcp://127.0.0.1:0', { idleMs: 150 });
  const bytes = new Uint8Array(6 * 2 ** 20).fill(5);
  const sending = linked.near.streams.send(null, memorySource(bytes));
  const stream = await linked.opened();
  let received = 0;
  for await (const piece of stream.read({ windowBytes: 2 ** 21 })) {
    received += piece.length;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  await stream.confirm();
  await sending;
  expect(received).toBe(bytes.length);
  await linked.close();
});

test('after a thousand peers that do not speak FedStream, the server still serves and keeps nothing of them', async () => {
  const served = await serve(2_000);
  const greetings = [
    Buffer.from('GET / HTTP/1.1\r\nhost: here\r\n\r\n'),
    Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
    Buffer.alloc(200, 255),
    Buffer.alloc(0),
    framed('ping'),
    framed('hello', { version: 1, name: '../../x', idleMs: 1000 }),
    hello.subarray(0, 20),
    Buffer.concat([hello, framed('open', { meta: 1 })]),
    Buffer.concat([hello, Buffer.from('garbage that is long enough to be looked at')]),
  ];
  const peer = (i: number): Promise<void> =>
    new Promise((resolve) => {
      const socket = raw(served.port);
      socket.on('close', () => resolve());
      const greeting = greetings[i % greetings.length] as Buffer;
      if (i % 3 === 0) socket.write(greeting, () => socket.resetAndDestroy());
      else socket.end(greeting);
    });
  for (let from = 0; from < 1000; from += 50) await Promise.all(Array.from({ length: 50 }, (_, i) => peer(from + i)));
  const client = new Session(await tcp().connect(`tcp://127.0.0.1:${served.port}`), { name: 'site-b', idleMs: 2_000 });
  const replied = new Promise<void>((resolve) => client.handle('reply', () => resolve()));
  await client.start();
  await client.control('request', 1);
  await replied;
  await client.close();
  const ended = async (): Promise<void> => {
    while (served.ends.length < 1001) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  await ended();
  expect(new Set(served.ends)).toEqual(new Set(['bad-frame', 'closed', 'limit']));
  await served.close();
});

test('control frames overtake bulk that the other side reads slowly', async () => {
  const linked = await link(tcp(), 'tcp://127.0.0.1:0');
  const events: string[] = [];
  linked.far.session.handle('request', () => events.push('control'));
  const bytes = new Uint8Array(64 * 2 ** 20);
  const sending = linked.near.streams.send(null, memorySource(bytes));
  const stream = await linked.opened();
  let asked = false;
  for await (const _ of stream.read()) {
    events.push('chunk');
    if (asked) continue;
    asked = true;
    await linked.near.session.control('request', 1);
  }
  await stream.confirm();
  await sending;
  // It passes the chunks that wait in this process, but not those in the kernel, at most a window.
  expect(events.indexOf('control')).toBeGreaterThan(-1);
  expect(events.indexOf('control')).toBeLessThanOrEqual(16);
  await linked.close();
});

test('the window bounds the bytes on their way, however much the sockets would take', async () => {
  const linked = await link(tcp(), 'tcp://127.0.0.1:0');
  let reached = 0;
  const bytes = new Uint8Array(40 * 2 ** 20);
  const onProgress = (offset: number): void => {
    reached = offset;
  };
  const sending = linked.near.streams.send(null, memorySource(bytes), { onProgress });
  const reader = (await linked.opened()).read({ windowBytes: 4 * 2 ** 20 });
  await reader.next();
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(reached).toBeLessThanOrEqual(5 * 2 ** 20);
  const ended = sending.catch((error: { code: string }) => error.code);
  await linked.far.session.close();
  expect(await ended).toBe('closed');
  await linked.close();
});
