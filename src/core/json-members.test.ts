// A large object read in pieces has what JSON.parse finds in it, and is refused where that refuses.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DuplicateName, JsonMembers, SPREAD } from './json-members.js';

/** The object as it was handed over; `list` and `map` are spread. */
function read(text: string, pieceBytes = 1 << 20): Record<string, unknown> {
  const members: [string, unknown][] = [];
  const list: unknown[] = [];
  const map: [string, unknown][] = [];
  const json = new JsonMembers({
    spread: ['list', 'map'],
    maxDepth: 12,
    onMember: (name, value) => members.push([name, value === SPREAD ? (name === 'list' ? list : 'map') : value]),
    onItems: (name, items) => {
      if (name !== 'list') throw new Error('a list was spread that is none');
      list.push(...items);
    },
    onInner: (name, key, value) => {
      if (name !== 'map') throw new Error('a map was spread that is none');
      map.push([key, value]);
    },
  });
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length; at += pieceBytes) json.push(bytes.subarray(at, at + pieceBytes));
  json.finish();
  return Object.fromEntries(members.map(([name, value]) => [name, value === 'map' ? Object.fromEntries(map) : value]));
}

const objects = fc.record(
  {
    list: fc.array(fc.jsonValue({ maxDepth: 3 })),
    map: fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 })),
    other: fc.jsonValue({ maxDepth: 3 }),
  },
  { requiredKeys: [] },
);

test('it is the same object, however its bytes come', () => {
  fc.assert(
    fc.property(objects, fc.integer({ min: 1, max: 40 }), fc.constantFrom(undefined, 1), (value, pieceBytes, indent) => {
      const text = JSON.stringify(value, undefined, indent);
      expect(read(text, pieceBytes)).toEqual(JSON.parse(text));
    }),
    { seed: 4, numRuns: 1000 },
  );
});

test('text that JSON.parse refuses is refused, and most of the rest is read', () => {
  fc.assert(
    fc.property(
      objects,
      fc.nat(),
      fc.constantFrom(',', ':', '{', '}', '[', ']', '"', '1', ' ', '\\'),
      fc.boolean(),
      (value, at, put, replace) => {
        const whole = JSON.stringify(value);
        const place = at % whole.length;
        const text = whole.slice(0, place) + put + whole.slice(place + (replace ? 1 : 0));
        let parsed: unknown;
        let refused = false;
        try {
          parsed = JSON.parse(text);
        } catch {
          refused = true;
        }
        if (refused) expect(() => read(text, 7)).toThrow();
        else {
          try {
            expect(read(text, 7)).toEqual(parsed);
          } catch (error) {
            if (!(error instanceof DuplicateName)) expect((error as Error).message).toMatch(/not a JSON object|spread|stands where/);
          }
        }
      },
    ),
    { seed: 5, numRuns: 4000 },
  );
});

test.each([
  ['{"a":1,}', /a comma stands alone|Unexpected/],
  ['{,"a":1}', /a name has no value/],
  ['{"list":[1,2,]}', /Unexpected/],
  ['{"list":[1]}x', /something follows/],
  ['{"list":[1}', /a bracket closes what it did not open/],
  ['{"list":[1] 2}', /Unexpected|JSON/],
  ['{"a","b":1}', /a name has no value/],
  ['{"a":1:2}', /a colon stands where none belongs/],
  ['{1:2}', /a name is no text/],
  ['[1]', /not a JSON object/],
  ['{"a":1', /ends early/],
  ['\ufeff{}', /not a JSON object/],
  [`{"a":${'['.repeat(13)}${']'.repeat(13)}}`, /nested more than 12 deep/],
])('%s is refused', (text, message) => {
  expect(() => read(text)).toThrow(message);
});

test.each([
  ['{"a":1,"a":2}', 'a'],
  ['{"list":[],"list":[]}', 'list'],
  ['{"map":{"x":1,"\\u0078":2}}', 'x'],
  ['{"list":[{"y":1,"y":1}]}', 'y'],
  [`{"map":{"x":1,${Array.from({ length: 9000 }, (_, i) => `"k${i}":"${i}"`).join(',')},"x":2}}`, 'x'],
])('a name that is there twice is found (%#)', (text, name) => {
  expect(() => read(text)).toThrow(expect.objectContaining({ key: name }));
});
