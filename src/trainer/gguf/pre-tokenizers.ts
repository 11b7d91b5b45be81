// Rules that cut a text before byte-level BPE, by the names of llama.cpp (`tokenizer.ggml.pre`).

/** The parts of `tokenizer.json` that a name stands for. */
export interface PreTokenizer {
  readonly normalizer: object | null;
  readonly preTokenizer: object;
  readonly ignoreMerges: boolean;
}

const BYTES = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
const GPT2 = { ...BYTES, use_regex: true };

const split = (pattern: string) => ({
  type: 'Sequence',
  pretokenizers: [{ type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false }, BYTES],
});

const LLAMA3 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const QWEN2 = LLAMA3.replace('{1,3}', '');

/** As in the tokenizer.json of each family on the hub. */
const RULES: Readonly<Record<string, PreTokenizer>> = {
  'gpt-2': { normalizer: null, preTokenizer: GPT2, ignoreMerges: false },
  'llama-bpe': { normalizer: null, preTokenizer: split(LLAMA3), ignoreMerges: true },
  qwen2: { normalizer: { type: 'NFC' }, preTokenizer: split(QWEN2), ignoreMerges: false },
  smollm: {
    normalizer: null,
    preTokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, GPT2] },
    ignoreMerges: false,
  },
};

/** The rules of a name; undefined where they are not known here. */
export function preTokenizerOf(name: string): PreTokenizer | undefined {
  return Object.hasOwn(RULES, name) ? RULES[name] : undefined;
}
