// Instruction data from text: every shape, and errors that name the line.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FedStreamError } from '../../core/errors.js';
import { parseData } from './parse-data.js';

const parse = (text: string) => parseData(text.split('\n'), 'f.json');

async function complaint(text: string): Promise<string> {
  const error = await parse(text).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(FedStreamError);
  expect((error as FedStreamError).code).toBe('bad-data');
  return (error as FedStreamError).message;
}

test('JSON lines and an array give the same samples, in any layout', async () => {
  const items = [
    { prompt: 'a [ " ] {', completion: 'b, \\ }', category: 'c' },
    { prompt: 'two\nlines', completion: 'ü 😀' },
  ];
  const expected = [
    { prompt: 'a [ " ] {', answer: 'b, \\ }', category: 'c' },
    { prompt: 'two\nlines', answer: 'ü 😀' },
  ];
  for (const text of [
    items.map((item) => JSON.stringify(item)).join('\n'),
    `\uFEFF\n\n${items.map((item) => JSON.stringify(item)).join('\r\n\n')}\n`,
    JSON.stringify(items),
    `\n\n ${JSON.stringify(items, null, 2)}\n\n`,
    JSON.stringify(items, null, '\t').replaceAll('\n', '\r\n'),
  ])
    expect(await parse(text)).toEqual(expected);
});

test('any samples come back from any layout', async () => {
  const text = fc.string({ unit: 'grapheme', minLength: 1 }).filter((value) => value.trim() !== '');
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ prompt: text, completion: text }), { minLength: 1 }),
      fc.integer({ min: 0, max: 3 }),
      async (items, indent) => {
        const expected = items.map(({ prompt, completion }) => ({ prompt, answer: completion }));
        expect(await parse(JSON.stringify(items, null, indent))).toEqual(expected);
        expect(await parse(items.map((item) => JSON.stringify(item)).join('\n'))).toEqual(expected);
      },
    ),
    { seed: 1 },
  );
});

test('an array of more items than a call has room for arguments', async () => {
  const samples = await parse(JSON.stringify(Array.from({ length: 150_000 }, () => ({ prompt: 'p', completion: 'c' }))));
  expect(samples).toHaveLength(150_000);
});

test('an error names the file and the line', async () => {
  const good = '{"prompt": "p", "completion": "c"}';
  expect(await complaint(`${good}\n\n{"prompt": "p"`)).toMatch(/^f\.json line 3: not JSON: /);
  expect(await complaint(`${good}\n{"prompt": "p"}`)).toMatch(/^f\.json line 2: the fields prompt are no known shape/);
  expect(await complaint(`[\n${good},\n${good},\n{"prompt": 3, "completion": "c"}]`)).toMatch(
    /^f\.json line 4 \(item 3\): prompt: .*string/,
  );
  expect(await complaint(`[\n${good},\n{"prompt": p}\n]`)).toMatch(/^f\.json line 3 \(item 2\): not JSON: /);
  expect(await complaint(`[${good},\n${good}\n`)).toMatch(
    /^f\.json: the array does not end.*item 2, which begins on line 2, is still open/,
  );
  expect(await complaint(`[${good},\n{"prompt": "p\n]`)).toMatch(/^f\.json line 2: not JSON: a string does not end/);
  expect(await complaint(`[${good},\n\n]`)).toMatch(/^f\.json line 3: not JSON: an item is missing before \]/);
  expect(await complaint(`[${good}\n}]`)).toMatch(/^f\.json line 2: not JSON: a } closes nothing/);
  expect(await complaint(`[${good}]\n${good}`)).toMatch(/^f\.json line 2: not JSON: there is text after the end/);
  expect(await complaint(`[\n1]`)).toMatch(/^f\.json line 2 \(item 1\): a sample is an object/);
  expect(await complaint('{\n"prompt": "p"}')).toMatch(/line 1: not JSON: .*a whole sample on every line/);
});

test('a file name with " line " in it does no harm', async () => {
  await expect(parseData(['[', '{"prompt": p}]'], 'a line of 3.json')).rejects.toThrow(/^a line of 3\.json line 2 \(item 1\): not JSON/);
});

test('a file without samples is an error', async () => {
  for (const text of ['', '\n \n', '[]', ' [\n]\n']) expect(await complaint(text)).toMatch(/^f\.json has no samples/);
});

test('hostile text gives samples or an error with a place, never anything else', async () => {
  const piece = fc.constantFrom(
    '[',
    ']',
    '{',
    '}',
    ',',
    ':',
    '"',
    '\\',
    '\n',
    ' ',
    '"prompt"',
    '"completion"',
    '"x"',
    '1',
    'null',
    '{"prompt":"p","completion":"c"}',
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 30 }), async (pieces) => {
      const text = pieces.join('');
      const valid = isJson(text);
      const result = await parse(text).catch((error: unknown) => error);
      if (!Array.isArray(result)) expect(result).toBeInstanceOf(FedStreamError);
      // Text that was read as an array is JSON as a whole.
      else if (text.trimStart().startsWith('[')) expect(valid).toBe(true);
    }),
    { seed: 2, numRuns: 2000 },
  );
});

test('a quote that is missing in a long table is told at once', async () => {
  const table = `prompt,response\n1,"x\n${'some words of a line that goes on and on\n'.repeat(50_000)}`;
  await expect(parse(table)).rejects.toThrow(/line 2: a quoted cell does not end; is a quote missing\?/);
});

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
