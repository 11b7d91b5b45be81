// Proofs of a token: what they are made of, what they are bound to, and what a session does with
// them.
import { createHash, createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { connectionPair } from '../driver/memory.js';
import { decodeFrame, encodeFrame } from './frame.js';
import { encodeHello, FEATURES } from './hello.js';
import { pack, unpack } from './pack.js';
import { decoyVerifier, PROOF_BYTES, type Prover, serverProver, siteCredentials, transcriptOf } from './proof.js';
import { type Credentials, Session } from './session.js';
import { makeToken, parseToken, tokenVerifier } from './token.js';

const SECRET = Buffer.from(Array.from({ length: 32 }, (_, i) => 7 * i + 3));
const TOKEN = `fedstream-token-1:site-1:${SECRET.toString('hex')}`;
const transcript = transcriptOf(Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5));
const hmacOf = (key: Uint8Array, ...parts: (string | Uint8Array)[]): Buffer => {
  const hmac = createHmac('sha256', key);
  for (const part of parts) hmac.update(part);
  return hmac.digest();
};

test('keys and proofs are those of the page, made with another library', async () => {
  const siteKey = hmacOf(SECRET, 'fedstream site key 1:site-1');
  const storedKey = createHash('sha256').update(siteKey).digest();
  const serverKey = hmacOf(SECRET, 'fedstream server key 1:site-1');
  const verifier = await tokenVerifier(TOKEN);
  expect(verifier).toEqual({ storedKey: storedKey.toString('hex'), serverKey: serverKey.toString('hex') });
  const bound = Buffer.concat([Buffer.from('fedstream session 1'), Buffer.of(3, 0, 0, 0, 1, 2, 3), Buffer.of(2, 0, 0, 0, 4, 5)]);
  expect(Buffer.from(transcript)).toEqual(bound);
  const signature = hmacOf(storedKey, 'site proof:', bound);
  const proof = await siteCredentials(TOKEN).prove(transcript);
  expect(Buffer.from(proof)).toEqual(Buffer.from(siteKey.map((byte, i) => byte ^ (signature[i] as number))));
  expect(Buffer.from(await serverProver(verifier).prove(transcript))).toEqual(hmacOf(serverKey, 'server proof:', bound));
});

test('each side takes the other’s proof for these very hellos, and nothing else', async () => {
  const site = siteCredentials(TOKEN);
  const server = serverProver(await tokenVerifier(TOKEN));
  const other = transcriptOf(Uint8Array.of(1, 2), Uint8Array.of(3, 4, 5));
  const [ofSite, ofServer] = [await site.prove(transcript), await server.prove(transcript)];
  expect(await server.verify(transcript, ofSite)).toBe(true);
  expect(await site.verify(transcript, ofServer)).toBe(true);
  expect(await server.verify(other, ofSite)).toBe(false);
  expect(await site.verify(other, ofServer)).toBe(false);
  // Neither side's proof is good for the other side, and one bit decides.
  expect(await server.verify(transcript, ofServer)).toBe(false);
  expect(await site.verify(transcript, ofSite)).toBe(false);
  expect(
    await server.verify(
      transcript,
      ofSite.map((byte, i) => (i === 31 ? byte ^ 1 : byte)),
    ),
  ).toBe(false);
  expect(await server.verify(transcript, new Uint8Array(0))).toBe(false);
});

test('the token of another site, or the same secret under another name, proves nothing', async () => {
  const server = serverProver(await tokenVerifier(TOKEN));
  for (const token of [makeToken('site-1'), TOKEN.replace('site-1', 'site-2')])
    expect(await server.verify(transcript, await siteCredentials(token).prove(transcript))).toBe(false);
});

test('what a server keeps is not enough to be the site', async () => {
  const { storedKey, serverKey } = await tokenVerifier(TOKEN);
  const server = serverProver({ storedKey, serverKey });
  for (const key of [storedKey, serverKey]) {
    const guess = hmacOf(Buffer.from(key, 'hex'), 'site proof:', transcript);
    expect(await server.verify(transcript, guess)).toBe(false);
    expect(
      await server.verify(
        transcript,
        guess.map((byte, i) => byte ^ (Buffer.from(key, 'hex')[i] as number)),
      ),
    ).toBe(false);
  }
});

test('a name without a token is answered like any other, the same each time, and differently by each server', async () => {
  const [one, two] = [Uint8Array.of(1), Uint8Array.of(2)];
  const decoy = await decoyVerifier(one, 'nobody');
  expect(await decoyVerifier(one, 'nobody')).toEqual(decoy);
  expect(await decoyVerifier(one, 'somebody')).not.toEqual(decoy);
  expect(await decoyVerifier(two, 'nobody')).not.toEqual(decoy);
  expect((await serverProver(decoy).prove(transcript)).length).toBe(PROOF_BYTES);
});

test.each([
  ['an old token of many sites', '0123456789abcdef0123456789abcdef', /no token of one site.*fedstream token --site/],
  ['a short secret', 'fedstream-token-1:site-1:0123456789abcdef', /no token of one site/],
  ['a secret without chance', `fedstream-token-1:site-1:${'0123456789abcdef'.repeat(4)}`, /can be guessed/],
  ['one character 64 times', `fedstream-token-1:site-1:${'a'.repeat(64)}`, /can be guessed/],
  ['a name with a path', `fedstream-token-1:../a:${SECRET.toString('hex')}`, /no token of one site/],
  ['nothing', '', /no token of one site/],
])('%s is refused', (_, text, message) => {
  expect(() => parseToken(text, 'a.token')).toThrowError(
    expect.objectContaining({ code: 'bad-argument', message: expect.stringMatching(message) }),
  );
});

test('tokens that are made are accepted, and no two are alike', () => {
  const tokens = Array.from({ length: 200 }, () => makeToken('site-1'));
  for (const token of tokens) expect(parseToken(`${token}\n`, 'a.token').site).toBe('site-1');
  expect(new Set(tokens).size).toBe(200);
  expect(() => makeToken('../a')).toThrowError(expect.objectContaining({ code: 'bad-argument' }));
});

/** A site with a token, and a server that decides on it with `admit`; what went over the wire. */
function meeting(admit: (credentials: Credentials) => Promise<void>, token = TOKEN) {
  const [near, far] = connectionPair('memory://proof');
  const sent: Buffer[] = [];
  for (const end of [near, far]) {
    const send = end.send.bind(end);
    end.send = (...parts) => {
      sent.push(Buffer.concat(parts));
      return send(...parts);
    };
  }
  const site = new Session(near, { name: 'site-1', credentials: siteCredentials(token) });
  const server = new Session(far, { name: 'server' });
  const started = Promise.allSettled([site.start(), server.start((_, credentials) => admit(credentials))]);
  return { site, server, started, sent };
}

test('both sides prove that they know the token, which never travels', async () => {
  const proven: unknown[] = [];
  const { site, started, sent } = meeting(async ({ prove }) => {
    proven.push(await prove?.(serverProver(await tokenVerifier(TOKEN))));
  });
  expect((await started).map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled']);
  expect(proven).toEqual([true]);
  await site.close();
  const types = sent.map((bytes) => decodeFrame(bytes).type);
  expect(types.slice(0, 4)).toEqual(['hello', 'hello', 'proof', 'proof']);
  const wire = Buffer.concat(sent);
  expect(wire.includes(SECRET) || wire.includes(SECRET.toString('hex'))).toBe(false);
});

test('a server that does not know the token gets no proof of the site', async () => {
  const { started, sent } = meeting(async ({ prove }) => {
    await prove?.(serverProver(await tokenVerifier(makeToken('site-1'))));
  });
  const [site, server] = await started;
  expect(site).toMatchObject({ reason: { code: 'refused', message: expect.stringContaining('does not know the token of this site') } });
  expect(server).toMatchObject({ reason: { code: 'refused' } });
  expect(sent.filter((bytes) => decodeFrame(bytes).type === 'proof')).toHaveLength(1);
});

/** A site with a token, whose other side sends these frames. */
async function meet(...frames: readonly Uint8Array[][]): Promise<unknown> {
  const [near, raw] = connectionPair('memory://rogue');
  const session = new Session(near, { name: 'site-1', idleMs: 500, credentials: siteCredentials(TOKEN) });
  for (const frame of frames) void raw.send(...frame).catch(() => {});
  const failure = await session.start().catch((error: unknown) => error);
  const sent: string[] = [];
  for await (const bytes of raw) sent.push(decodeFrame(bytes).type);
  expect(sent).toEqual(['hello', 'bye']);
  return failure;
}

const hello = (more: Record<string, unknown> = {}) =>
  encodeFrame('hello', 0, pack({ version: 1, newest: 1, name: 'server', idleMs: 1000, features: [...FEATURES], ...more }));
const nonce = new Uint8Array(32);

test.each([
  ['an older server, which would want the token', [hello()], 'unsupported', /update FedStream there/],
  ['a server that lets everybody in', [hello({ nonce }), encodeFrame('ping', 0)], 'bad-frame', /sent a ping frame before it proved/],
  ['a proof by chance', [hello({ nonce }), encodeFrame('proof', 0, pack({ proof: nonce }))], 'refused', /does not know the token/],
  ['a proof of no length', [hello({ nonce }), encodeFrame('proof', 0, pack({ proof: new Uint8Array(0) }))], 'bad-frame', /proof/],
  ['a proof that is a text', [hello({ nonce }), encodeFrame('proof', 0, pack({ proof: 'x' }))], 'bad-frame', /proof/],
  ['a nonce that is too short', [hello({ nonce: nonce.subarray(1) })], 'bad-frame', /nonce/],
  ['silence', [hello({ nonce })], 'timeout', /nothing came/],
])('%s gets nothing of a site', async (_, frames, code, message) => {
  expect(await meet(...frames)).toMatchObject({ code, message: expect.stringMatching(message) });
});

test('what a site sent to one server is worth nothing at another time', async () => {
  const verifier = await tokenVerifier(TOKEN);
  const first = meeting(async ({ prove }) => void (await prove?.(serverProver(verifier))));
  await first.started;
  await first.site.close();
  const [siteHello, , , proof] = first.sent;
  const [near, far] = connectionPair('memory://replay');
  const server = new Session(far, { name: 'server' });
  let proven: boolean | undefined;
  const started = server.start(async (_, { prove }) => {
    proven = await prove?.(serverProver(verifier) as Prover);
  });
  await near.send(siteHello as Buffer);
  await near.send(proof as Buffer);
  await started;
  expect(proven).toBe(false);
  await server.close();
});

test('a hello that brings a token itself is told to update', async () => {
  const [near, far] = connectionPair('memory://old');
  const server = new Session(far, { name: 'server' });
  const started = server.start(() => {}).catch((error: unknown) => error);
  await near.send(...encodeFrame('hello', 0, pack({ version: 1, name: 'site-1', idleMs: 1000, token: 'secret-of-all' })));
  expect(await started).toMatchObject({
    code: 'unsupported',
    message: expect.stringMatching(/^site-1 sends its token itself.*update FedStream/),
  });
  expect(((await started) as Error).message).not.toContain('secret-of-all');
});

test('a session without credentials and without a decision sends no nonce', async () => {
  const [near, raw] = connectionPair('memory://plain');
  const session = new Session(near, { name: 'page' });
  void session.start().catch(() => {});
  const first = await raw[Symbol.asyncIterator]().next();
  expect(Object.keys(unpack(decodeFrame(first.value).header, z.record(z.string(), z.unknown()), 'hello'))).not.toContain('nonce');
  await session.close();
  expect(encodeHello({ versions: { oldest: 1, newest: 1 }, name: 'a', idleMs: 1000, features: [], nonce }).length).toBeGreaterThan(32);
});
