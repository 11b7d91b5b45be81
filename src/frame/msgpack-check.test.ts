// Bytes that the decoder would accept, or choke on, are checked first.
import { decode, encode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkMsgpack } from './msgpack-check.js';

const value = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true }),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.string({ maxLength: 300 }),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(fc.string({ maxLength: 40 }), tie('value'), { maxKeys: 20 }),
  ),
})).value;

test('lets every value through that is encoded here', () => {
  fc.assert(
    fc.property(value, (one) => checkMsgpack(encode(one), 'it')),
    { seed: 1, numRuns: 500 },
  );
  for (const size of [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536]) {
    checkMsgpack(encode('x'.repeat(size)), 'it');
    checkMsgpack(encode(new Uint8Array(size)), 'it');
    checkMsgpack(encode(new Array(size).fill(1)), 'it');
    checkMsgpack(encode(Object.fromEntries(Array.from({ length: size }, (_, i) => [i, i]))), 'it');
  }
});

test('refuses every beginning of a value, and whatever follows one', () => {
  const whole = encode({ a: [1, 'two', { three: 3.5, four: [null, true, 2 ** 40, -5, -500] }], b: new Uint8Array(20) });
  for (let size = 0; size < whole.length; size++)
    expect(() => checkMsgpack(whole.subarray(0, size), 'it')).toThrow(expect.objectContaining({ code: 'bad-frame' }));
  expect(() => checkMsgpack(Uint8Array.from([...whole, 0]), 'it')).toThrow(/bytes follow/);
});

test.each([
  ['arrays that each declare 65,535 items', Array.from({ length: 20_000 }, () => [0xdc, 255, 255]).flat(), /declares more/],
  ['an array of four billion items', [0xdd, 255, 255, 255, 255, 1], /declares more/],
  ['a map of four billion entries', [0xdf, 255, 255, 255, 255, 1], /declares more/],
  ['a string of four billion bytes', [0xdb, 255, 255, 255, 255, 1], /ends early/],
  ['arrays nested without end', [...new Array(60_000).fill(0x91), 0xc0], /nested/],
  ['an extension type', [0xd4, 1, 1], /0xd4/],
  ['a date', [...encode(new Date(0))], /0xd6/],
  ['the byte that no type has', [0xc1], /0xc1/],
])('refuses %s', (_, bytes, message) => {
  expect(() => checkMsgpack(Uint8Array.from(bytes), 'it')).toThrow(
    expect.objectContaining({ code: 'bad-frame', message: expect.stringMatching(message) }),
  );
});

test('what passes can be decoded', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        checkMsgpack(bytes, 'it');
      } catch {
        return;
      }
      try {
        decode(bytes, { maxStrLength: 1000 });
      } catch (error) {
        // The check does not look at map keys and UTF-8.
        expect(String(error)).toMatch(/key|UTF|encoded data/i);
      }
    }),
    { seed: 2, numRuns: 20_000 },
  );
});
