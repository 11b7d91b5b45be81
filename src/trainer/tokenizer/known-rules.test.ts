// Known tokenizers are known, and every rule that could cost more is not.
import { expect, test } from 'vitest';
import { hasKnownRules } from './known-rules.js';
import { tokenizerJson } from './tokenizer-json.js';
import { trainBpe } from './train-bpe.js';

const json = () => JSON.parse(tokenizerJson(trainBpe(['the the then there'], 270))) as Record<string, unknown>;
const LLAMA3 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const split = (Regex: string) => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false });
const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };

test.each<[string, Record<string, unknown>]>([
  ['our own', {}],
  ['Llama 3', { pre_tokenizer: { type: 'Sequence', pretokenizers: [split(LLAMA3), byteLevel] } }],
  [
    'Qwen, with NFC',
    { normalizer: { type: 'NFC' }, pre_tokenizer: { type: 'Sequence', pretokenizers: [split(LLAMA3.replace('{1,3}', '')), byteLevel] } },
  ],
  ['StarCoder', { pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel] } }],
])('%s is known', (_, change) => {
  expect(hasKnownRules({ ...json(), ...change })).toBe(true);
});

test.each<[string, Record<string, unknown>]>([
  ['a pattern that backtracks', { pre_tokenizer: split('(\\p{L}+)+!') }],
  ['a known pattern with one character more', { pre_tokenizer: split(`${LLAMA3}|x`) }],
  ['a string pattern', { pre_tokenizer: { type: 'Split', pattern: { String: ' ' } } }],
  ['a nested sequence', { pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Sequence', pretokenizers: [] }] } }],
  ['a chain of a hundred', { normalizer: { type: 'Sequence', normalizers: Array.from({ length: 100 }, () => ({ type: 'NFC' })) } }],
  ['a replacement', { normalizer: { type: 'Replace', pattern: { String: 'a' }, content: 'aa' } }],
  ['a prefix', { normalizer: { type: 'Prepend', prepend: '▁' } }],
  ['pieces of no length', { pre_tokenizer: { type: 'FixedLength', length: 0 } }],
  ['another model', { model: { type: 'Unigram', vocab: [['a', 0]] } }],
  ['an id without a vocabulary', { model: { type: 'BPE', vocab: { a: 4e9 }, merges: [] } }],
  ['a long added token', { added_tokens: [{ id: 1, content: 'a'.repeat(600) }] }],
  ['added tokens that are none', { added_tokens: {} }],
])('%s is not', (_, change) => {
  expect(hasKnownRules({ ...json(), ...change })).toBe(false);
});

test('what is no object is not known', () => {
  expect([null, 1, [], 'x'].map(hasKnownRules)).toEqual([false, false, false, false]);
});
