// Who a session belongs to: what a stranger hears, who throws out whom, and how long a guess takes.
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import type { Connection, Driver } from '../../src/driver/driver.js';
import { decodeFrame, encodeFrame } from '../../src/frame/frame.js';
import { pack, unpack } from '../../src/frame/pack.js';
import { siteCredentials } from '../../src/frame/proof.js';
import { Session } from '../../src/frame/session.js';
import { makeToken, parseToken, tokenVerifier } from '../../src/frame/token.js';
import { answering, hubWith, URL } from './answering.js';

const tokens = { a: makeToken('site-1'), b: makeToken('site-1'), c: makeToken('site-2'), mallory: makeToken('mallory') };
const credentials = (token: keyof typeof tokens) => ({ credentials: siteCredentials(tokens[token]) });
const rulesOf = async (...of: (keyof typeof tokens)[]) => ({
  tokens: Object.fromEntries(
    await Promise.all(of.map(async (token) => [parseToken(tokens[token], token).site, await tokenVerifier(tokens[token])] as const)),
  ),
});

test('each run has its own rules: the token of one opens no other', async () => {
  const { hub, join, refusal, warnings } = await hubWith(
    answering('alpha', { admission: await rulesOf('a', 'c') }),
    answering('beta', { admission: await rulesOf('b') }),
  );
  expect(await (await join('site-1', { run: 'alpha', ...credentials('a') })).ask()).toBe('a');
  expect(await (await join('site-1', { run: 'beta', ...credentials('b') })).ask()).toBe('b');
  expect(await refusal('site-1', { run: 'beta', ...credentials('a') })).toMatchObject({
    code: 'refused',
    message: expect.stringContaining('does not know the token of this site'),
  });
  expect(await refusal('site-1', { run: 'beta' })).toMatchObject({ code: 'refused' });
  expect(warnings.at(-1)).toMatch(/site-1 shows neither a certificate nor a token/);
  await hub.close();
});

/**
 * A stranger who says hello with a nonce, and answers the server's proof with one by chance: what
 * the server sends, by type, and what it says at its end.
 */
async function stranger(driver: Driver, fields: Record<string, unknown>) {
  const raw = await driver.connect(URL);
  await raw.send(
    ...encodeFrame('hello', 0, pack({ version: 1, idleMs: 30_000, features: ['run', 'proof'], nonce: new Uint8Array(32), ...fields })),
  );
  const types: string[] = [];
  let told: unknown;
  for await (const bytes of raw) {
    const { type, header } = decodeFrame(bytes);
    types.push(type);
    if (type === 'proof') await raw.send(...encodeFrame('proof', 0, pack({ proof: new Uint8Array(32).fill(7) })));
    if (type === 'bye') told = unpack(header, z.unknown(), 'bye');
  }
  return { types, told };
}

test('a stranger learns neither the names of sites nor those of runs', async () => {
  const { hub, driver, warnings } = await hubWith(
    answering('alpha', { admission: await rulesOf('a') }),
    answering('beta', { admission: {} }),
  );
  const seen = [];
  for (const fields of [
    { name: 'site-1', run: 'alpha' },
    { name: 'nobody', run: 'alpha' },
    { name: 'site-1', run: 'beta' },
    { name: 'site-1', run: 'gamma' },
    { name: 'site-1' },
  ])
    seen.push(await stranger(driver, fields));
  for (const one of seen) expect(one).toEqual(seen[0]);
  expect(seen[0]).toEqual({ types: ['hello', 'proof', 'bye'], told: { code: 'refused', message: expect.any(String) } });
  expect(JSON.stringify(seen)).not.toMatch(/alpha|beta|site-1/);
  await hub.close();
  // The log has what each of them did wrong; the last of lines that are alike comes late.
  expect(warnings).toHaveLength(5);
  expect(warnings[0]).toMatch(/token of site-1 is not the one/);
  expect(warnings[1]).toMatch(/nobody has no token here/);
  expect(warnings[4]).toMatch(/site-1 has no token here/);
});

test('a site that connects again has its older session closed, and is connected all along', async () => {
  const [alpha, beta] = [answering('alpha', { admission: await rulesOf('a') }), answering('beta', { admission: await rulesOf('b') })];
  const { hub, join } = await hubWith(alpha, beta);
  const old = await join('site-1', { run: 'alpha', ...credentials('a') });
  const other = await join('site-1', { run: 'beta', ...credentials('b') });
  const young = await join('site-1', { run: 'alpha', ...credentials('a') });
  await expect(old.session.closed).resolves.toMatchObject({
    code: 'refused',
    message: expect.stringContaining('site-1 has connected again'),
  });
  expect([await young.ask(), await other.ask()]).toEqual(['a', 'b']);
  await young.session.close();
  await vi.waitFor(() => expect(alpha.seen).toEqual(['+site-1', '+site-1', '-site-1']));
  expect(beta.seen).toEqual(['+site-1']);
  await hub.close();
});

test('a live session is not thrown out by a peer without credentials, by a stranger, or by another site', async () => {
  const alpha = answering('alpha', { admission: await rulesOf('a', 'c') });
  const { hub, driver, join, refusal } = await hubWith(alpha);
  const honest = await join('site-1', credentials('a'));
  expect(await honest.ask()).toBe('a');
  expect(await refusal('site-1')).toMatchObject({ code: 'refused' });
  expect(await refusal('site-1', credentials('b'))).toMatchObject({ code: 'refused' });
  expect(await refusal('site-1', credentials('c'))).toMatchObject({ code: 'refused' });
  expect((await stranger(driver, { name: 'site-1' })).types).toEqual(['hello', 'proof', 'bye']);
  expect(await honest.ask()).toBe('a');
  expect(alpha.seen).toEqual(['+site-1']);
  await hub.close();
});

test('a site with a certificate and a token of one name are two identities: neither throws out the other', async () => {
  const alpha = answering('alpha', { admission: await rulesOf('a') });
  const { hub, driver, join, warnings } = await hubWith(alpha);
  const honest = await join('site-1', credentials('a'));
  expect(await honest.ask()).toBe('a');
  // A connection whose certificate was verified for the same name.
  await hub.listen({ ...driver, listen: (url, accept) => certified(driver, url, accept) }, 'memory://certified');
  const other = new Session(await driver.connect('memory://certified'), { name: 'site-1' });
  void other.start().catch(() => {});
  expect(await other.closed).toMatchObject({ code: 'refused' });
  expect(warnings.at(-1)).toMatch(/site-1 is connected already, with other credentials/);
  expect(await honest.ask()).toBe('a');
  await hub.close();
});

/** Listens as the driver does; every connection has shown a certificate of `site-1`. */
async function certified(driver: Driver, url: string, accept: (connection: Connection) => void) {
  const listener = await driver.listen?.(url, (connection) => accept(Object.assign(connection, { certificateNames: ['site-1'] })));
  if (!listener) throw new Error('no listener');
  return listener;
}

test('budget refusalPauseMs: who guesses waits longer and longer, and the site itself does not wait', async () => {
  const { hub, driver, join } = await hubWith(answering('alpha', { admission: await rulesOf('a') }));
  const tookMs: number[] = [];
  for (let guess = 0; guess < 5; guess++) {
    const from = performance.now();
    await stranger(driver, { name: 'site-1' });
    tookMs.push(performance.now() - from);
  }
  for (const [i, least] of [50, 100, 200, 400, 800].entries()) expect(tookMs[i]).toBeGreaterThan(least - 5);
  const from = performance.now();
  expect(await (await join('site-1', credentials('a'))).ask()).toBe('a');
  expect(performance.now() - from).toBeLessThan(400);
  await hub.close();
});
