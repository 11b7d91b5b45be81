// One search for the server whatever waits for it, and an end that ends everything at once: with timers of the test's own.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FedStreamError } from '../core/errors.js';
import { silentLogger } from '../core/log.js';
import { connectionPair } from '../driver/memory.js';
import { Session } from '../frame/session.js';
import { type Live, ServerConnection } from './server-connection.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const away = new FedStreamError('closed', 'nobody listens there');
const HOUR_MS = 3_600_000;

/** A connection whose tries end as `next` says: by an error, or with a session. */
function connecting(next: (attempt: number, found: boolean) => FedStreamError | undefined, retryMs?: number) {
  const stop = new AbortController();
  const lines: string[] = [];
  const seen = { tries: 0 };
  const connection = new ServerConnection<Live>({
    url: 'tcp://here:9000',
    log: { ...silentLogger, warn: (_, line) => void lines.push(line) },
    signal: stop.signal,
    retryMs,
    async connect(_, found) {
      seen.tries++;
      const error = next(seen.tries, found);
      if (error) throw error;
      return { session: new Session(connectionPair('memory://here')[0], { name: 'site' }) };
    },
  });
  return { connection, stop, lines, seen };
}

test('fifty requests that wait for an hour make the tries of one', async () => {
  const { connection, seen } = connecting(() => away, Number.POSITIVE_INFINITY);
  const waiting = Array.from({ length: 50 }, () => connection.live().catch((error: Error) => error));
  await vi.advanceTimersByTimeAsync(HOUR_MS);
  const { tries } = seen;
  expect(tries).toBeGreaterThan(700);
  expect(tries).toBeLessThan(740);
  await connection.close();
  expect(new Set((await Promise.all(waiting)).map(String)).size).toBe(1);
  await vi.advanceTimersByTimeAsync(HOUR_MS);
  expect(seen.tries).toBe(tries);
  expect(vi.getTimerCount()).toBe(0);
});

test('a server that comes back is found by all, and told once', async () => {
  const { connection, lines } = connecting((attempt) => (attempt < 20 ? away : undefined));
  const waiting = Promise.all(Array.from({ length: 10 }, () => connection.live()));
  await vi.advanceTimersByTimeAsync(HOUR_MS);
  expect(new Set(await waiting).size).toBe(1);
  expect(lines.filter((line) => line.includes('is there again'))).toHaveLength(1);
  await connection.close();
});

test('a search in vain is the end: everything is refused at once from then on, and work hears of it', async () => {
  const { connection, seen } = connecting(() => away, 30_000);
  const failed = connection.live().catch((error: FedStreamError) => error);
  await vi.advanceTimersByTimeAsync(31_000);
  const error = (await failed) as FedStreamError;
  expect(error).toMatchObject({ code: 'closed', message: expect.stringMatching(/nobody listens there; .*in vain for 30 s \(--retry/) });
  const { tries } = seen;
  await expect(connection.live()).rejects.toBe(error);
  expect(connection.signal.aborted && connection.signal.reason).toBe(error);
  await vi.advanceTimersByTimeAsync(HOUR_MS);
  expect(seen.tries).toBe(tries);
  expect(vi.getTimerCount()).toBe(0);
});

test('closing ends a pause at once', async () => {
  const { connection } = connecting(() => away, Number.POSITIVE_INFINITY);
  const failed = connection.live().catch((error: FedStreamError) => error);
  await vi.advanceTimersByTimeAsync(60_000);
  await connection.close(new FedStreamError('aborted', 'Ctrl-C'));
  expect(await failed).toMatchObject({ code: 'aborted', message: 'Ctrl-C' });
  expect(vi.getTimerCount()).toBe(0);
});

test('a stop of the site ends a try that does not answer', async () => {
  const stop = new AbortController();
  const connection = new ServerConnection<Live>({
    url: 'tcp://here:9000',
    log: silentLogger,
    signal: stop.signal,
    connect: (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  });
  const failed = connection.live().catch((error: FedStreamError) => error);
  await vi.advanceTimersByTimeAsync(1000);
  stop.abort(new FedStreamError('aborted', 'SIGTERM'));
  expect(await failed).toMatchObject({ code: 'aborted', message: 'SIGTERM' });
  await expect(connection.live()).rejects.toMatchObject({ code: 'aborted' });
});

test.each(['refused', 'bad-argument', 'unsupported', 'bad-job'] as const)('%s is not tried again', async (code) => {
  const { connection, seen, lines } = connecting(() => new FedStreamError(code, 'no'), Number.POSITIVE_INFINITY);
  await expect(connection.live()).rejects.toMatchObject({ code, message: 'no' });
  expect(seen.tries).toBe(1);
  expect(lines).toEqual([]);
});

test('an address that was right stays right: another answer there is an outage', async () => {
  const elsewhere = new FedStreamError('bad-argument', 'an HTTP server listens there');
  const { connection, seen } = connecting((attempt, found) => (found && attempt < 10 ? elsewhere : undefined));
  const first = await connection.live();
  void connection.lost(first, away);
  const second = connection.live();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(await second).not.toBe(first);
  expect(seen.tries).toBe(10);
  await connection.close();
});

test('a server that was stopped on purpose ends a site, and not one that looks for it for ever', async () => {
  const stopped = new FedStreamError('aborted', 'the server was stopped');
  const once = connecting((attempt) => (attempt === 1 ? stopped : undefined));
  await expect(once.connection.live()).rejects.toBe(stopped);
  const always = connecting((attempt) => (attempt === 1 ? stopped : undefined), Number.POSITIVE_INFINITY);
  const live = always.connection.live();
  await vi.advanceTimersByTimeAsync(1000);
  expect((await live).session).toBeInstanceOf(Session);
  await always.connection.close();
});

test('bytes that are never right end the search within seconds where no session ever was', async () => {
  const { connection, seen } = connecting(() => new FedStreamError('bad-frame', 'not a frame'));
  const failed = connection.live().catch((error: FedStreamError) => error);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(await failed).toMatchObject({ code: 'bad-frame' });
  expect(seen.tries).toBe(4);
});

test('a connection that breaks all the time fills no terminal', async () => {
  const { connection, lines } = connecting(() => undefined);
  for (let breaks = 0; breaks < 200; breaks++) {
    void connection.lost(await connection.live(), away);
    await vi.advanceTimersByTimeAsync(250);
  }
  expect(lines.length).toBeLessThan(20);
  await connection.close();
});
