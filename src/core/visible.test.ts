import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BUDGETS } from './budgets.js';
import { FedStreamError } from './errors.js';
import { jsonText } from './json-text.js';
import { visible } from './visible.js';

test.each([
  ['a clear screen', '\u001b[2Jx', '\\u001b[2Jx'],
  ['a C1 introducer', '\u009b31mx', '\\u009b31mx'],
  ['a title', '\u001b]0;pwned\u0007', '\\u001b]0;pwned\\u0007'],
  ['text that runs to the left', 'a\u202etxt.exe\u2066', 'a\\u202etxt.exe\\u2066'],
  ['nothing to see', 'a\u200bb\ufeff\u00ad\u2060', 'a\\u200bb\\ufeff\\u00ad\\u2060'],
  ['more lines', 'a\r\nb\u2028c\u0085d', 'a\\u000d\\u000ab\\u2028c\\u0085d'],
  ['a tag beyond the first plane', 'a\u{e0041}', 'a\\udb40\\udc41'],
  ['half of a pair', 'a\ud800b', 'a\\ud800b'],
  ['words of any script', 'Größe 模型 ١٢ 🚀', 'Größe 模型 ١٢ 🚀'],
])('%s', (_, text, seen) => {
  expect(visible(text)).toBe(seen);
  expect(new FedStreamError('io', text).message).toBe(seen);
});

test('no character that a terminal obeys is left, and a second pass changes nothing', () => {
  const any = fc.string({ unit: 'binary', maxLength: 200 });
  fc.assert(
    fc.property(any, (text) => {
      const seen = visible(text);
      expect(seen).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
      expect(visible(seen)).toBe(seen);
      const json = jsonText({ [text]: text }, 'it');
      expect(json).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
      expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify({ [text]: text })));
    }),
    { seed: 7, numRuns: 500 },
  );
});

test('budget errorText: a long message is cut, and says by how much', () => {
  const { limit } = BUDGETS.errorText;
  const { message } = new FedStreamError('bad-model', 'x'.repeat(limit + 1_000_000));
  expect(message).toHaveLength(limit + '… (1000000 more characters)'.length);
  expect(message.endsWith('x… (1000000 more characters)')).toBe(true);
});

test('JSON refuses numbers that it would write as null, by the name of the field', () => {
  expect(jsonText({ a: null, b: [1, -0.5, 1e300] }, 'it')).toBe('{"a":null,"b":[1,-0.5,1e+300]}');
  expect(() => jsonText({ a: { b: [0, Number.POSITIVE_INFINITY] } }, 'summary.json')).toThrow(
    'summary.json cannot be written: a.b.1 is Infinity',
  );
  expect(() => jsonText(Number.NaN, 'it')).toThrow('it cannot be written: it is NaN');
});
