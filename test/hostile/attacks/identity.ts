// Attacks on names: a stranger, or a site that calls itself another.
import { expect } from 'vitest';
import { z } from 'zod';
import { decodeFrame, encodeFrame, type Frame } from '../../../src/frame/frame.js';
import { pack, unpack } from '../../../src/frame/pack.js';
import type { Attack, Target } from '../attack.js';

/** The schemes without TLS, where a token is the only proof. */
const PLAIN = ['tcp'];
const NONCE = new Uint8Array(32).fill(5);
const byeSchema = z.object({ code: z.string().optional(), message: z.string() });

interface Heard {
  /** The types of the frames that came. */
  readonly types: readonly string[];
  /** The last word of the server; undefined if it was cut off without one. */
  readonly bye: z.output<typeof byeSchema> | undefined;
}

/**
 * Says hello with these fields, answers the server's proof with one that is wrong, and listens until
 * the server hangs up.
 */
async function apply(target: Target, fields: Record<string, unknown>, proof = new Uint8Array(32).fill(9)): Promise<Heard> {
  const connection = await target.connect();
  const send = (...frame: Uint8Array[]): Promise<void> => connection.send(...frame).catch(() => {});
  await send(...encodeFrame('hello', 0, pack({ version: 1, idleMs: 10_000, features: ['run', 'proof'], ...fields })));
  const types: string[] = [];
  let bye: Heard['bye'];
  try {
    for await (const bytes of connection) {
      const frame: Frame = decodeFrame(bytes);
      types.push(frame.type);
      if (frame.type === 'proof') await send(...encodeFrame('proof', 0, pack({ proof })));
      if (frame.type === 'bye') bye = unpack(frame.header, byeSchema, 'the bye');
    }
  } catch {
    // Cut off.
  }
  await connection.close();
  return { types, bye };
}

const REFUSED = /^the site is not admitted: its name, its run \(--run\) and its certificate or token must be those/;

export const identityAttacks: readonly Attack[] = [
  {
    name: 'a site takes the name of another with its own credentials',
    line: /it calls itself site-1 and shows a certificate for mallory|site-1 has no token here|the token of site-1 is not the one/,
    async run(target) {
      const { bye } = await apply(target, { name: 'site-1', nonce: PLAIN.includes(target.scheme) ? NONCE : undefined });
      expect(bye).toEqual({ code: 'refused', message: expect.stringMatching(REFUSED) });
    },
  },
  {
    name: 'somebody without credentials takes the name of a site that is connected',
    schemes: PLAIN,
    line: /site-1 shows neither a certificate nor a token/,
    async run(target) {
      const { types, bye } = await apply(target, { name: 'site-1' });
      expect(types).toEqual(['hello', 'bye']);
      expect(bye).toEqual({ code: 'refused', message: expect.stringMatching(REFUSED) });
    },
  },
  {
    name: 'a stranger tells by the answers which sites and runs there are',
    schemes: PLAIN,
    mostLines: 5,
    async run(target) {
      const heard: Heard[] = [];
      for (const fields of [
        { name: 'site-1' },
        { name: 'site-9' },
        { name: 'constructor' },
        { name: 'site-1', run: 'tcp' },
        { name: 'site-1', run: 'other' },
      ])
        heard.push(await apply(target, { ...fields, nonce: NONCE }));
      expect(heard[0]).toEqual({ types: ['hello', 'proof', 'bye'], bye: { code: 'refused', message: expect.stringMatching(REFUSED) } });
      for (const one of heard) expect(one).toEqual(heard[0]);
    },
  },
  {
    name: 'a site of an earlier version sends a token as it is',
    schemes: PLAIN,
    line: /mallory sends its token itself/,
    async run(target) {
      const { bye } = await apply(target, { name: 'mallory', token: '0123456789abcdef' });
      expect(bye).toEqual({ code: 'unsupported', message: expect.stringMatching(/update FedStream there/) });
    },
  },
  {
    name: 'budget refusalPauseMs, budget refusedOfAddress: a thousand guesses of a token in three seconds',
    schemes: PLAIN,
    line: /the token of site-1 is not the one/,
    // One for each that gets an answer, and none for those that are cut off.
    mostLines: 70,
    async run(target) {
      let answers = 0;
      let over = false;
      const guesses = 1_050;
      let next = 0;
      const guessing = Array.from({ length: 100 }, async () => {
        for (let guess = next++; guess < guesses && !over; guess = next++) {
          const proof = new Uint8Array(32).map((_, i) => (guess >> (i % 8)) & 255);
          const { bye } = await apply(target, { name: 'site-1', nonce: NONCE }, proof).catch(() => ({ bye: undefined }));
          if (bye !== undefined && !over) answers++;
        }
      });
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      // A site with the right token gets in at once, from the same address.
      const from = performance.now();
      const honest = await target.insider();
      expect((await honest.request('join')).code).toBeUndefined();
      expect(performance.now() - from).toBeLessThan(2_000);
      await honest.close();
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      over = true;
      expect(answers).toBeLessThan(20);
      await Promise.all(guessing);
    },
  },
  {
    name: 'a site asks what the server’s job says of other sites and of the server’s machine',
    async run(target) {
      const peer = await target.insider();
      const { body } = await peer.request('join');
      const { job } = body as { job: Record<string, unknown> };
      expect(job.rounds).toBe(2);
      expect(JSON.stringify(body)).not.toMatch(/site-1|site-2|\/tmp|jsonl/);
      await peer.close();
    },
  },
];
