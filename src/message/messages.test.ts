// Requests and replies: each request is answered once, errors keep their code, and nobody is left
// waiting.
import { expect, test } from 'vitest';
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';
import { DEFAULT_MAX_FRAME_BYTES } from '../driver/driver.js';
import { connectionPair } from '../driver/memory.js';
import { pack, unpack } from '../frame/pack.js';
import { Session } from '../frame/session.js';
import { Messages, type RequestHandler } from './messages.js';

const number = z.number();

async function asking(handlers: Record<string, RequestHandler>): Promise<{ ask: Messages; near: Session; far: Session }> {
  const [a, b] = connectionPair('memory://messages');
  const [near, far] = [new Session(a, { name: 'site' }), new Session(b, { name: 'server' })];
  const ask = new Messages(near);
  new Messages(far, handlers);
  await Promise.all([near.start(), far.start()]);
  return { ask, near, far };
}

test('a request gets its reply, whatever the order of the answers', async () => {
  const { ask, near } = await asking({
    double: async (body) => {
      const n = unpack(body, number, 'a number');
      await new Promise((resolve) => setTimeout(resolve, (10 - n) * 3));
      return n * 2;
    },
    nothing: () => undefined,
  });
  const replies = await Promise.all(Array.from({ length: 10 }, (_, n) => ask.request('double', n, number)));
  expect(replies).toEqual([0, 2, 4, 6, 8, 10, 12, 14, 16, 18]);
  expect(await ask.request('nothing', {}, z.strictObject({}))).toEqual({});
  await near.close();
});

test('a request that waits keeps no other waiting', async () => {
  let release: (value: number) => void = () => {};
  const { ask, near } = await asking({
    slow: () => new Promise<number>((resolve) => (release = resolve)),
    quick: () => 1,
  });
  const slow = ask.request('slow', {}, number);
  expect(await ask.request('quick', {}, number)).toBe(1);
  release(2);
  expect(await slow).toBe(2);
  await near.close();
});

test.each<[string, RequestHandler, string, RegExp]>([
  ['an error of its own', () => Promise.reject(new FedStreamError('not-found', 'no model "x"')), 'not-found', /^no model "x"$/],
  ['another error', () => JSON.parse('{'), 'internal', /JSON/],
  ['a reply that cannot be packed', () => () => 1, 'internal', /./],
  ['a reply above the frame limit', () => 'x'.repeat(DEFAULT_MAX_FRAME_BYTES), 'limit', /above the limit/],
])('a handler with %s fails its request alone', async (_, handler, code, message) => {
  const { ask, near } = await asking({ bad: handler, good: () => 3 });
  await expect(ask.request('bad', {}, z.unknown())).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  expect(await ask.request('good', {}, number)).toBe(3);
  await near.close();
});

test('what is not asked of a side, and names from Object.prototype, are unsupported', async () => {
  const { ask, near } = await asking({});
  for (const name of ['other', 'toString', '__proto__', 'constructor'])
    await expect(ask.request(name, {}, z.unknown())).rejects.toMatchObject({ code: 'unsupported' });
  await near.close();
});

test('bodies are checked by who takes them, both ways', async () => {
  const { ask, near } = await asking({ double: (body) => unpack(body, number, 'a number to double') * 2, text: () => 'text' });
  await expect(ask.request('double', 'x', number)).rejects.toMatchObject({
    code: 'bad-frame',
    message: expect.stringContaining('a number to double'),
  });
  await expect(ask.request('text', {}, number)).rejects.toMatchObject({
    code: 'bad-frame',
    message: expect.stringContaining('the reply to text'),
  });
  await expect(ask.request('text', 'x'.repeat(DEFAULT_MAX_FRAME_BYTES), number)).rejects.toMatchObject({ code: 'limit' });
  expect(await ask.request('double', 4, number)).toBe(8);
  await near.close();
});

test('the end of the session fails what waits and what comes later', async () => {
  const { ask, far } = await asking({ never: () => new Promise(() => {}) });
  const waiting = expect(ask.request('never', {}, number)).rejects.toMatchObject({ code: 'aborted' });
  await new Promise((resolve) => setTimeout(resolve, 10));
  await far.close(new FedStreamError('aborted', 'Ctrl-C'));
  await waiting;
  await expect(ask.request('never', {}, number)).rejects.toMatchObject({ code: 'aborted' });
});

test('more requests than one peer may have are refused one by one; replies to nobody are dropped', async () => {
  const { ask, near, far } = await asking({ never: () => new Promise(() => {}), quick: () => 1 });
  await far.control('reply', 77, pack({}), pack(5));
  const outcomes = Array.from({ length: 300 }, () => ask.request('never', {}, number).then(String, (error: FedStreamError) => error.code));
  expect(await Promise.all(outcomes.slice(256))).toEqual(new Array(44).fill('limit'));
  await near.close();
  expect(await outcomes[0]).toBe('closed');
});
