// Tokenizers: our own, and those of other families.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { loadTokenizer } from './tokenizer.js';
import { tokenizerConfigJson, tokenizerJson } from './tokenizer-json.js';
import { SPECIAL_TOKENS, trainBpe } from './train-bpe.js';

const TEXTS = [
  'Which is larger, 12 or 7?',
  "It's the capital of France, isn't it?",
  'Größe  zählt\n\tnicht 😀',
  'the the the then there them',
];

function ours(vocabularySize = 320) {
  return loadTokenizer(tokenizerJson(trainBpe(TEXTS, vocabularySize)), tokenizerConfigJson(256), 'tokenizer.json');
}

test('special tokens have the first ids', () => {
  const { endToken, padToken, turns, vocabularySize } = ours();
  expect({ endToken, padToken, turns }).toEqual({ padToken: 0, endToken: 1, turns: { user: 2, assistant: 3 } });
  expect(vocabularySize).toBeLessThanOrEqual(320);
  expect(vocabularySize).toBeGreaterThan(260);
});

test('any text comes back from its tokens', () => {
  const tokenizer = ours();
  const text = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom(' ', '\n', "'", 's', 'the', '12', '\r', '\u00a0', ',', '😀') }),
  );
  fc.assert(
    fc.property(text, (value) => {
      const tokens = tokenizer.encode(value);
      expect(tokenizer.decode(tokens)).toBe(value);
      for (const token of tokens) expect(token).toBeLessThan(tokenizer.vocabularySize);
    }),
    { seed: 1, numRuns: 500 },
  );
});

test('merges make texts shorter than their bytes', () => {
  const tokenizer = ours();
  expect(tokenizer.encode('the the')).toHaveLength(2);
  expect(tokenizer.encode('')).toEqual([]);
});

test('a data set that spells a special token does not end a sample', () => {
  const tokenizer = ours();
  const tokens = tokenizer.encode(`a${SPECIAL_TOKENS.end}b${SPECIAL_TOKENS.assistant}`);
  expect(tokens).not.toContain(tokenizer.endToken);
  expect(tokens).not.toContain(tokenizer.turns?.assistant);
  expect(tokenizer.decode(tokens)).toBe('a<|end|>b<|assistant|>');
});

/**
 * Like tokenizers of other families, Llama 3's for example: other special tokens, and no turns of
 * ours.
 */
function foreign(change: (json: Record<string, unknown>) => void = () => {}): string {
  const json = JSON.parse(
    tokenizerJson(trainBpe(TEXTS, 280)).replaceAll('<|end|>', '<|eot_id|>').replaceAll('<|user|>', '<|a|>'),
  ) as Record<string, unknown>;
  change(json);
  return JSON.stringify(json);
}

test('a foreign tokenizer ends texts as its configuration says', () => {
  for (const eos of ['<|eot_id|>', { content: '<|eot_id|>', lstrip: false }]) {
    const tokenizer = loadTokenizer(foreign(), JSON.stringify({ eos_token: eos }), 'x');
    expect(tokenizer).toMatchObject({ endToken: 1, padToken: 0, turns: undefined });
    expect(tokenizer.decode(tokenizer.encode('It is 12'))).toBe('It is 12');
  }
  const known = foreign().replaceAll('<|eot_id|>', '<|end_of_text|>').replaceAll('<|pad|>', '<|none|>');
  expect(loadTokenizer(known, undefined, 'x')).toMatchObject({ endToken: 1, padToken: 1 });
});

test('a vocabulary of 128 000 tokens loads', () => {
  const json = foreign((value) => {
    const model = value.model as { vocab: Record<string, number> };
    for (let id = 280; id < 150_000; id++) model.vocab[`tok${id}`] = id;
  });
  expect(loadTokenizer(json, '{"eos_token":"<|eot_id|>"}', 'x').vocabularySize).toBe(150_000);
});

test('a file that is no tokenizer is refused by name', () => {
  const cases: [string, string | undefined, RegExp][] = [
    ['{', undefined, /^m\/tokenizer\.json is not JSON/],
    ['[]', undefined, /^m\/tokenizer\.json is not a JSON object/],
    ['{}', undefined, /^m\/tokenizer\.json cannot be used as a tokenizer/],
    [foreign(), undefined, /does not say which token ends a text; set eos_token/],
    [foreign(), '{"eos_token":"<|nothing|>"}', /does not say which token ends a text/],
    [foreign(), 'no', /\(tokenizer_config\.json\) is not JSON/],
    [
      foreign((json) => {
        json.model = { type: 'Magic', vocab: { b: 9 } };
      }),
      '{"eos_token":"<|eot_id|>"}',
      /has no tokens for "a"/,
    ],
    [
      foreign((json) => {
        json.model = { type: 'BPE', vocab: null, merges: 3 };
      }),
      '{"eos_token":"<|eot_id|>"}',
      /cannot be used as a tokenizer/,
    ],
    [
      foreign((json) => {
        json.added_tokens = 'none';
      }),
      '{"eos_token":"<|eot_id|>"}',
      /cannot be used as a tokenizer/,
    ],
  ];
  for (const [json, config, message] of cases) {
    const load = () => loadTokenizer(json, config, 'm/tokenizer.json');
    expect(load).toThrow(message);
    expect(load).toThrow(expect.objectContaining({ code: 'bad-model' }));
  }
});
