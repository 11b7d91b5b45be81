// Faults that only TCP can have: bytes that are not frames, and ends inside a frame.
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { Connection, Listener } from '../../driver/driver.js';
import { tcp } from './tcp.js';

const open: (Listener | Socket | Server)[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) {
    if ('destroy' in one) one.destroy();
    else await one.close();
  }
});

/** A listener, and raw sockets to it with the connections that it made of them. */
async function listening(): Promise<{ url: string; raw(): Promise<[Socket, Connection]> }> {
  const accepted: ((connection: Connection) => void)[] = [];
  const listener = await tcp().listen?.('tcp://127.0.0.1:0', (connection) => accepted.shift()?.(connection), { maxFrameBytes: 10_000 });
  if (!listener) throw new Error('tcp cannot listen');
  open.push(listener);
  const raw = async (): Promise<[Socket, Connection]> => {
    const connection = new Promise<Connection>((resolve) => accepted.push(resolve));
    const socket = connect(Number(listener.url.split(':').at(-1)), '127.0.0.1');
    socket.on('error', () => {});
    open.push(socket);
    return [socket, await connection];
  };
  return { url: listener.url, raw };
}

async function readAll(connection: Connection): Promise<string[]> {
  const frames: string[] = [];
  for await (const frame of connection) frames.push(Buffer.from(frame).toString());
  return frames;
}

const frame = (text: string): Buffer => Buffer.concat([Buffer.from(Uint32Array.of(text.length).buffer), Buffer.from(text)]);

test.each([
  ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n')],
  ['zeros', Buffer.alloc(64)],
  ['ones', Buffer.alloc(64, 255)],
])('%s ends its own connection only, with one clear error', async (_, bytes) => {
  const { raw, url } = await listening();
  const [good, goodEnd] = await raw();
  const [bad, badEnd] = await raw();
  bad.write(bytes);
  await expect(readAll(badEnd)).rejects.toMatchObject({ code: 'limit', message: expect.stringContaining('is the other side FedStream?') });
  expect(await badEnd.closed).toMatchObject({ code: 'limit' });
  good.end(frame('still here'));
  expect(await readAll(goodEnd)).toEqual(['still here']);
  const another = await tcp().connect(url);
  await another.close();
});

test('an end inside a frame is an error, after the frames that came whole', async () => {
  const { raw } = await listening();
  const [socket, end] = await raw();
  socket.end(Buffer.concat([frame('one'), frame('two').subarray(0, 5)]));
  const frames = end[Symbol.asyncIterator]();
  expect(Buffer.from((await frames.next()).value).toString()).toBe('one');
  await expect(frames.next()).rejects.toMatchObject({ code: 'closed', message: expect.stringContaining('inside a frame') });
});

test('a reset of the other side is an error that names it', async () => {
  const { raw } = await listening();
  const [socket, end] = await raw();
  socket.resetAndDestroy();
  await expect(readAll(end)).rejects.toMatchObject({ code: 'closed', message: expect.stringContaining('127.0.0.1:') });
});

test('single bytes make frames', async () => {
  const { raw } = await listening();
  const [socket, end] = await raw();
  socket.setNoDelay(true);
  for (const byte of Buffer.concat([frame('drop'), frame('by drop')])) await new Promise((done) => socket.write(Buffer.of(byte), done));
  socket.end();
  expect(await readAll(end)).toEqual(['drop', 'by drop']);
});

test('close gives up a peer that neither reads nor ends', async () => {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.pause();
    open.push(socket);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  open.push(server);
  const address = server.address();
  const connection = await tcp().connect(`tcp://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`);
  const sends = Array.from({ length: 30 }, () => connection.send(new Uint8Array(2 ** 20)).catch((error: { code: string }) => error.code));
  await connection.close();
  expect((await Promise.all(sends)).at(-1)).toBe('closed');
});

test.each([
  ['tcp://127.0.0.1:1', 'closed', /nobody listens there/],
  ['tcp://127.0.0.1:70000', 'bad-argument', /tcp:\/\/host:port/],
  ['tcp://no-such-host.invalid:9', 'closed', /host name is not known|no-such-host/],
])('connecting to %s is %s', async (url, code, message) => {
  await expect(tcp().connect(url)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
});

test('a port in use is one clear line', async () => {
  const { url } = await listening();
  await expect(tcp().listen?.(url, () => {})).rejects.toMatchObject({
    code: 'io',
    message: `cannot listen on ${url}: the port is in use; choose another one, or end the process that has it`,
  });
});

test('a connect is stopped by its signal', async () => {
  const stop = new AbortController();
  // An address that swallows packets, or else refuses them.
  const connecting = tcp().connect('tcp://192.0.2.1:9', { signal: stop.signal });
  stop.abort();
  await expect(connecting).rejects.toMatchObject({ code: expect.stringMatching(/aborted|closed/) });
});
