// Hellos between neighbouring versions of the protocol, down to the bytes.
import { expect, test } from 'vitest';
import { z } from 'zod';
import { RELEASE } from '../core/release.js';
import { connectionPair } from '../driver/memory.js';
import { decodeFrame, encodeFrame } from './frame.js';
import { decodeHello, encodeHello } from './hello.js';
import { pack, unpack } from './pack.js';
import { Session, type SessionOptions } from './session.js';

const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));

/**
 * Made by the code that knew one version, no features and no runs: `{version: 1, name: 'site-1',
 * idleMs: 30000, token: 'secret'}`.
 */
const OLD_SITE = bytes('84 a776657273696f6e 01 a46e616d65 a6736974652d31 a669646c654d73 cd7530 a5746f6b656e a6736563726574');
/** The same of a site with a certificate: `{version: 1, name: 'site-1', idleMs: 30000}`. */
const OLD_SITE_WITH_CERTIFICATE = bytes('83 a776657273696f6e 01 a46e616d65 a6736974652d31 a669646c654d73 cd7530');
/** Made by the same code: `{version: 1, name: 'server', idleMs: 30000}`. */
const OLD_SERVER = bytes('83 a776657273696f6e 01 a46e616d65 a6736572766572 a669646c654d73 cd7530');
/** The schema by which that code read a hello. */
const oldSchema = z.object({
  version: z.int().min(1),
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
  idleMs: z.int().min(100).max(86_400_000),
  token: z.string().max(1024).optional(),
});

const mine = { versions: { oldest: 1, newest: 1 }, name: 'site-1', idleMs: 30_000, features: ['run'] };

test('a hello of the state before is read, with what it does not say left out', () => {
  expect(decodeHello(OLD_SERVER, { oldest: 1, newest: 3 }, 'peer')).toEqual({
    version: 1,
    versions: { oldest: 1, newest: 1 },
    name: 'server',
    idleMs: 30_000,
    features: [],
  });
});

test('a hello of the state before that has a token in it is refused, and says what to do', () => {
  expect(() => decodeHello(OLD_SITE, { oldest: 1, newest: 3 }, 'peer')).toThrowError(
    expect.objectContaining({
      code: 'unsupported',
      message: expect.stringMatching(/^site-1 sends its token itself.*fedstream token --site site-1/),
    }),
  );
});

test('the state before reads a hello of this one', () => {
  const read = unpack(encodeHello({ ...mine, nonce: new Uint8Array(32), run: 'run-a' }), oldSchema, 'hello');
  expect(read).toEqual({ version: 1, name: 'site-1', idleMs: 30_000 });
  const later = unpack(encodeHello({ ...mine, versions: { oldest: 1, newest: 9 } }), oldSchema, 'hello');
  expect(later.version).toBe(1);
});

/** A session with these options, whose peer sends the given header of a hello. */
async function meet(header: Uint8Array, options: Partial<SessionOptions> = {}): Promise<Session> {
  const [near, raw] = connectionPair('memory://hello');
  const session = new Session(near, { name: 'here', ...options });
  void raw.send(...encodeFrame('hello', 0, header)).catch(() => {});
  await session.start();
  return session;
}

test.each([
  ['the state before, as a site', OLD_SITE_WITH_CERTIFICATE, undefined, 1],
  ['the state before, as a server', OLD_SERVER, undefined, 1],
  ['1 to 1', encodeHello(mine), undefined, 1],
  ['1 to 9', encodeHello({ ...mine, versions: { oldest: 1, newest: 9 } }), undefined, 1],
  ['1 to 9, by one of 2 to 5', encodeHello({ ...mine, versions: { oldest: 1, newest: 9 } }), { oldest: 2, newest: 5 }, 5],
  ['2 to 5, by one of 1 to 3', encodeHello({ ...mine, versions: { oldest: 2, newest: 5 } }), { oldest: 1, newest: 3 }, 3],
])('a peer that speaks %s is welcome', async (_, header, versions, spoken) => {
  const session = await meet(header, versions && { versions });
  expect(session.version).toBe(spoken);
  await session.close();
});

test('a peer that speaks 2 to 5 finds a side that is too old, and says so as well', async () => {
  const [near, far] = connectionPair('memory://versions');
  const here = new Session(near, { name: 'server' });
  const there = new Session(far, { name: 'site-1', versions: { oldest: 2, newest: 5 } });
  const [old, late] = await Promise.allSettled([here.start(), there.start()]);
  expect(old).toMatchObject({
    reason: {
      code: 'unsupported',
      message: expect.stringMatching(/^site-1 \(memory:.*\) speaks versions 2 to 5 .*this side 1: this side is too old/),
    },
  });
  expect(late).toMatchObject({
    reason: {
      code: 'unsupported',
      message: expect.stringMatching(/^server \(memory:.*\) speaks version 1 .*this side 2 to 5: server is too old/),
    },
  });
});

test('what a later version says is not judged by this one', async () => {
  const header = pack({ version: 2, newest: 5, name: { is: 'a map by now' }, features: 'a text' });
  await expect(meet(header)).rejects.toMatchObject({ code: 'unsupported', message: expect.stringContaining('versions 2 to 5') });
});

test('features of the other side can be read, known or not', async () => {
  const session = await meet(encodeHello({ ...mine, features: ['run', 'of-tomorrow'] }));
  expect([...session.peerFeatures]).toEqual(['run', 'of-tomorrow']);
  await session.close();
  expect([...(await meet(OLD_SERVER)).peerFeatures]).toEqual([]);
});

test('who decides on a peer sees the run that its hello names', async () => {
  const [near, far] = connectionPair('memory://run');
  const [site, server] = [new Session(near, { name: 'site-1', run: 'run-a' }), new Session(far, { name: 'server' })];
  const seen: unknown[] = [];
  await Promise.all([site.start(), server.start((...args) => void seen.push(...args))]);
  expect(seen).toEqual(['site-1', { certificateNames: undefined, prove: undefined, stall: expect.any(Function) }, 'run-a']);
  await site.close();
});

test('a run is not asked of a side that would give any', async () => {
  await expect(meet(OLD_SERVER, { run: 'run-a' })).rejects.toMatchObject({
    code: 'unsupported',
    message: expect.stringMatching(/^server .*knows no runs by name: leave out the name run-a, or update FedStream there/),
  });
});

test.each([
  ['no version', { version: undefined }, /version/],
  ['a range that ends before it begins', { version: 3, newest: 2 }, /wrong at newest: 2 is below its oldest, 3/],
  ['too many features', { features: Array.from({ length: 65 }, (_, i) => `${i}`) }, /features/],
  ['a feature without an end', { features: ['x'.repeat(65)] }, /features/],
  ['a run with a path as its name', { run: '../a' }, /run/],
  ['a run whose name is too long', { run: 'a'.repeat(65) }, /run/],
  ['a nonce without an end', { nonce: new Uint8Array(1025) }, /nonce/],
  ['a nonce that is no binary', { nonce: 'x'.repeat(32) }, /nonce/],
])('%s is no hello', async (_, fields, message) => {
  const header = pack({ version: 1, name: 'server', idleMs: 1000, ...fields });
  await expect(meet(header)).rejects.toMatchObject({ code: 'bad-frame', message: expect.stringMatching(message) });
});

test('what this side sends says its versions, its features and no more than it is asked to', async () => {
  const [near, raw] = connectionPair('memory://sent');
  const session = new Session(near, { name: 'site-1', idleMs: 1000 });
  void session.start().catch(() => {});
  const first = await raw[Symbol.asyncIterator]().next();
  const all = unpack(decodeFrame(first.value).header, z.record(z.string(), z.unknown()), 'hello');
  const features = ['run', 'retrieve', 'proof', 'about', 'relays'];
  expect(all).toEqual({ version: 1, newest: 1, name: 'site-1', release: RELEASE, idleMs: 1000, features });
  await session.close();
});
