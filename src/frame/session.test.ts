// Sessions: their hello, their heartbeats, and how they end.
import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { FedStreamError } from '../core/errors.js';
import type { Connection } from '../driver/driver.js';
import { connectionPair } from '../driver/memory.js';
import { decodeFrame, encodeFrame, type Frame, type FrameType } from './frame.js';
import { pack, unpack } from './pack.js';
import { Session } from './session.js';

afterEach(() => {
  vi.useRealTimers();
});

function sessions(options: { idleMs?: number } = {}): [Session, Session] {
  const [near, far] = connectionPair('memory://session');
  return [new Session(near, { name: 'site-a', ...options }), new Session(far, { name: 'server', ...options })];
}

/** A session whose peer is driven by hand. */
function byHand(options: { idleMs?: number; signal?: AbortSignal } = {}): {
  session: Session;
  raw: Connection;
  say(type: FrameType, header?: unknown): void;
} {
  const [near, raw] = connectionPair('memory://by-hand');
  const session = new Session(near, { name: 'site-a', ...options });
  const say = (type: FrameType, header?: unknown): void =>
    void raw.send(...encodeFrame(type, 0, header === undefined ? undefined : pack(header))).catch(() => {});
  return { session, raw, say };
}

const HELLO = { version: 1, name: 'server', idleMs: 1000 };

async function nextOf(raw: AsyncIterator<Uint8Array>, type: FrameType): Promise<Frame> {
  for (;;) {
    const next = await raw.next();
    if (next.done) throw new Error(`no ${type} frame came`);
    const frame = decodeFrame(next.value);
    if (frame.type === type) return frame;
  }
}

test('both learn the name of the other', async () => {
  const [a, b] = sessions();
  await Promise.all([a.start(), b.start()]);
  expect([a.peerName, b.peerName]).toEqual(['server', 'site-a']);
  expect(a.peer).toContain('server (memory://');
  await a.close();
  await expect(a.closed).resolves.toMatchObject({ code: 'closed' });
  await expect(b.closed).resolves.toMatchObject({ code: 'closed', message: expect.stringContaining('site-a') });
});

test('frames reach their handler in order, and control goes both ways', async () => {
  const [a, b] = sessions();
  const got: number[] = [];
  b.handle('request', (frame) => got.push(frame.stream));
  await Promise.all([a.start(), b.start()]);
  await Promise.all(Array.from({ length: 50 }, (_, i) => a.control('request', i)));
  await a.close();
  await b.closed;
  expect(got).toEqual(Array.from({ length: 50 }, (_, i) => i));
});

test('a reason arrives with its code, behind what was sent before it', async () => {
  const [a, b] = sessions();
  const got: number[] = [];
  b.handle('request', (frame) => got.push(frame.stream));
  await Promise.all([a.start(), b.start()]);
  void a.control('request', 1);
  await a.close(new FedStreamError('quorum', 'two of three sites are gone'));
  await expect(b.closed).resolves.toMatchObject({ code: 'quorum', message: expect.stringContaining('two of three sites are gone') });
  expect(got).toEqual([1]);
  await expect(b.control('request', 2)).rejects.toMatchObject({ code: 'quorum' });
});

test('a name that is not admitted is refused, on both sides', async () => {
  const [a, b] = sessions();
  const admit = (name: string): void => {
    throw new FedStreamError('refused', `${name} is no site of this job`);
  };
  const [, refusing] = await Promise.allSettled([a.start(), b.start(admit)]);
  expect(refusing).toMatchObject({ status: 'rejected', reason: { code: 'refused' } });
  await expect(a.closed).resolves.toMatchObject({ code: 'refused', message: expect.stringContaining('site-a is no site of this job') });
});

test('a session lives on heartbeats alone, however long', async () => {
  vi.useFakeTimers();
  const [a, b] = sessions({ idleMs: 1000 });
  await Promise.all([a.start(), b.start()]);
  let ended = false;
  void Promise.race([a.closed, b.closed]).then(() => {
    ended = true;
  });
  await vi.advanceTimersByTimeAsync(600_000);
  expect(ended).toBe(false);
  await Promise.all([a.close(), vi.advanceTimersByTimeAsync(1000)]);
  await b.closed;
  await vi.advanceTimersByTimeAsync(1000);
  expect(vi.getTimerCount()).toBe(0);
});

test('unequal limits: the more patient side beats for the less patient one', async () => {
  vi.useFakeTimers();
  const [near, far] = connectionPair('memory://session');
  const a = new Session(near, { name: 'a', idleMs: 60_000 });
  const b = new Session(far, { name: 'b', idleMs: 500 });
  await Promise.all([a.start(), b.start()]);
  let ended = false;
  void Promise.race([a.closed, b.closed]).then(() => {
    ended = true;
  });
  await vi.advanceTimersByTimeAsync(120_000);
  expect(ended).toBe(false);
});

test('silence ends a session, and names who was silent', async () => {
  vi.useFakeTimers();
  const { session, say } = byHand({ idleMs: 1000 });
  say('hello', HELLO);
  await session.start();
  await vi.advanceTimersByTimeAsync(900);
  say('pong'); // any frame renews the limit
  let ended = false;
  void session.closed.then(() => {
    ended = true;
  });
  await vi.advanceTimersByTimeAsync(900);
  expect(ended).toBe(false);
  await vi.advanceTimersByTimeAsync(1000);
  await expect(session.closed).resolves.toMatchObject({ code: 'timeout', message: expect.stringMatching(/server .*1 s/) });
});

test('a limit that was widened holds, and the other still beats for the one that hello said', async () => {
  vi.useFakeTimers();
  const { session, raw, say } = byHand({ idleMs: 1000 });
  say('hello', HELLO);
  await session.start(() => session.extendIdle(5000));
  session.extendIdle(10); // never shorter
  const beats = vi.fn();
  void (async () => {
    for await (const frame of raw) if (decodeFrame(frame).type === 'ping') beats();
  })();
  let ended = false;
  void session.closed.then(() => {
    ended = true;
  });
  await vi.advanceTimersByTimeAsync(4900);
  expect(ended).toBe(false);
  expect(beats.mock.calls.length).toBeGreaterThanOrEqual(19);
  await vi.advanceTimersByTimeAsync(1000);
  await expect(session.closed).resolves.toMatchObject({ code: 'timeout', message: expect.stringMatching(/server .*5 s/) });
  expect(vi.getTimerCount()).toBe(0);
});

test('a peer that never says hello is not waited for', async () => {
  vi.useFakeTimers();
  const { session } = byHand({ idleMs: 1000 });
  const failed = expect(session.start()).rejects.toMatchObject({ code: 'timeout' });
  await vi.advanceTimersByTimeAsync(5_000);
  await failed;
  expect(vi.getTimerCount()).toBe(0);
});

test('a ping is answered', async () => {
  const { session, raw, say } = byHand();
  say('hello', HELLO);
  await session.start();
  say('ping');
  await nextOf(raw[Symbol.asyncIterator](), 'pong');
  await session.close();
});

test('close tells why, and waits for nobody who does not read', async () => {
  const { session, raw, say } = byHand();
  say('hello', HELLO);
  await session.start();
  const stuck = Array.from({ length: 20 }, (_, i) =>
    session.bulk('data', i, new Uint8Array(16), new Uint8Array(1000)).catch((error: { code: string }) => error.code),
  );
  await session.close(new FedStreamError('aborted', 'stopped by hand'));
  expect((await Promise.all(stuck)).at(-1)).toBe('aborted');
  const bye = await nextOf(raw[Symbol.asyncIterator](), 'bye');
  expect(unpack(bye.header, { safeParse: (data: unknown) => ({ success: true, data }) } as never, 'bye')).toEqual({
    code: 'aborted',
    message: 'stopped by hand',
  });
});

test('a signal closes, before the start too, and leaves no timer', async () => {
  vi.useFakeTimers();
  const stop = new AbortController();
  const { session, say } = byHand({ signal: stop.signal });
  say('hello', HELLO);
  await session.start();
  stop.abort(new FedStreamError('aborted', 'Ctrl-C'));
  await expect(session.closed).resolves.toMatchObject({ code: 'aborted', message: 'Ctrl-C' });
  const late = byHand({ signal: stop.signal });
  late.say('hello', HELLO);
  await expect(late.session.start()).rejects.toMatchObject({ code: 'aborted' });
  await vi.advanceTimersByTimeAsync(1_000);
  expect(vi.getTimerCount()).toBe(0);
});

const hello = (header: unknown): Uint8Array => Buffer.concat(encodeFrame('hello', 0, pack(header)));

test.each<[string, Uint8Array, string, RegExp]>([
  ['noise', Buffer.from('GET / HTTP/1.1\r\n\r\n and so on, for more than a prefix'), 'bad-frame', /do not begin as a FedStream frame/],
  ['a single byte', Uint8Array.of(1), 'bad-frame', /shorter than its prefix/],
  ['another frame', Buffer.concat(encodeFrame('ping', 0)), 'bad-frame', /began with a ping frame/],
  ['a hello without a body', Buffer.concat(encodeFrame('hello', 0)), 'bad-frame', /hello/],
  ['a hello of another version', hello({ ...HELLO, version: 2, tls: 'whatever' }), 'unsupported', /version 2 .* this side 1/],
  ['a hello with a path as its name', hello({ ...HELLO, name: '../../etc' }), 'bad-frame', /name/],
  ['a hello with no limit', hello({ ...HELLO, idleMs: 0 }), 'bad-frame', /idleMs/],
  [
    'a hello whose lengths are a bomb',
    Buffer.concat(encodeFrame('hello', 0, Uint8Array.from(Array.from({ length: 2_000 }, () => [0xdc, 255, 255]).flat()))),
    'bad-frame',
    /declares more/,
  ],
])('%s is no way to begin', async (_, first, code, message) => {
  const { session, raw } = byHand();
  void raw.send(first).catch(() => {});
  await expect(session.start()).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  await expect(session.closed).resolves.toMatchObject({ code });
});

test('a frame that nothing takes ends the session, and the other side learns why', async () => {
  const [a, b] = sessions();
  await Promise.all([a.start(), b.start()]);
  await a.control('open', 1);
  await expect(b.closed).resolves.toMatchObject({
    code: 'bad-frame',
    message: expect.stringContaining('open frame, which nothing here takes'),
  });
  await expect(a.closed).resolves.toMatchObject({ code: 'bad-frame' });
});

test('whatever bytes come, a session ends with an error or goes on, and its neighbour lives', async () => {
  const [good, goodEnd] = sessions();
  await Promise.all([good.start(), goodEnd.start()]);
  const types: FrameType[] = ['hello', 'ping', 'pong', 'bye', 'request', 'data', 'end'];
  const anything = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 64 }),
    fc
      .tuple(fc.constantFrom(...types), fc.nat(9), fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ maxLength: 40 }))
      .map(([type, stream, header, payload]) => Uint8Array.from(Buffer.concat(encodeFrame(type, stream, header, payload)))),
    fc.jsonValue().map((value) => Uint8Array.from(Buffer.concat(encodeFrame('bye', 0, pack(value))))),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(anything, { minLength: 1, maxLength: 5 }), fc.boolean(), async (frames, greets) => {
      const { session, raw, say } = byHand();
      session.handle('request', () => {});
      if (greets) say('hello', HELLO);
      for (const frame of frames) raw.send(frame).catch(() => {});
      const started = session.start().catch((error: unknown) => expect(error).toBeInstanceOf(FedStreamError));
      await raw.close();
      await started;
      await expect(session.closed).resolves.toBeInstanceOf(FedStreamError);
    }),
    { seed: 6, numRuns: 300 },
  );
  let answered = false;
  goodEnd.handle('request', () => {
    answered = true;
  });
  await good.control('request', 1);
  await good.close();
  await goodEnd.closed;
  expect(answered).toBe(true);
});
