// Names that an object has twice are found, and nothing else is taken for one.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { duplicateKey } from './duplicate-key.js';

test.each([
  ['{"a":1,"a":2}', 'a'],
  ['{"a":{"x":1,"y":"}","x":2}}', 'x'],
  ['[{"a":1},{"a":1,"\\u0061":2}]', 'a'],
  ['{"\\"":1,"b":[{"\\"":1}],"\\"":2}', '"'],
  ['{"":0, "" : 1}', ''],
])('%s has %j twice', (text, name) => {
  expect(duplicateKey(text)).toBe(name);
});

test('JSON without them has none', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(undefined, 1), (value, indent) => {
      expect(duplicateKey(JSON.stringify(value, undefined, indent))).toBeUndefined();
    }),
    { seed: 2, numRuns: 2000 },
  );
});
