// Tokenizers whose rules are known to cost time and memory in proportion to a text: those of known
// families. All others run where they can be ended (src/node/trainer/tokenizer-host.ts).

/**
 * Patterns of known families, as their tokenizer.json has them. A run of one kind of characters is
 * one match in each, so none backtracks over what an earlier match has seen.
 */
const PATTERNS: ReadonlySet<string> = new Set([
  // GPT-2 and its heirs
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  // Llama 3, cl100k
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  // Qwen2
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  // DeepSeek and others that cut numbers and lines first
  '\\p{N}{1,3}',
  '\\p{N}',
  '[\\r\\n]',
  '\\s?\\p{L}+',
  '\\s?\\p{P}+',
]);

const NORMALIZERS: ReadonlySet<string> = new Set(['NFC', 'NFD', 'NFKC', 'NFKD', 'Lowercase', 'StripAccents']);
const PRE_TOKENIZERS: ReadonlySet<string> = new Set([
  'ByteLevel',
  'Digits',
  'Punctuation',
  'Whitespace',
  'WhitespaceSplit',
  'BertPreTokenizer',
]);
/** A chain that is longer is no known family's. */
const MOST_RULES = 8;
const MOST_TOKENS = 1_000_000;
/** Added tokens are looked for at every character of a text. */
const MOST_ADDED = 10_000;
const LONGEST_TOKEN = 512;

type Fields = { readonly [name: string]: unknown };

/** True for the tokenizer.json of a known family; false for anything else, which may be harmless too. */
export function hasKnownRules(json: unknown): boolean {
  if (!isFields(json)) return false;
  const { normalizer, pre_tokenizer, model, added_tokens = [] } = json;
  return (
    chain(normalizer, 'normalizers', isKnownNormalizer) &&
    chain(pre_tokenizer, 'pretokenizers', isKnownPreTokenizer) &&
    isKnownModel(model) &&
    areShort(added_tokens)
  );
}

function chain(rule: unknown, field: string, isKnown: (rule: Fields) => boolean): boolean {
  if (rule === null || rule === undefined) return true;
  if (!isFields(rule)) return false;
  if (rule.type !== 'Sequence') return isKnown(rule);
  const rules = rule[field];
  return Array.isArray(rules) && rules.length <= MOST_RULES && rules.every((one) => isFields(one) && isKnown(one));
}

function isKnownNormalizer({ type }: Fields): boolean {
  return NORMALIZERS.has(String(type));
}

function isKnownPreTokenizer({ type, pattern }: Fields): boolean {
  if (PRE_TOKENIZERS.has(String(type))) return true;
  if (type !== 'Split' || !isFields(pattern)) return false;
  return typeof pattern.Regex === 'string' && PATTERNS.has(pattern.Regex);
}

function isKnownModel(model: unknown): boolean {
  if (!isFields(model) || model.type !== 'BPE') return false;
  const { vocab, merges, end_of_word_suffix, continuing_subword_suffix } = model;
  if (!isFields(vocab) || !Array.isArray(merges) || end_of_word_suffix || continuing_subword_suffix) return false;
  const tokens = Object.entries(vocab);
  return (
    merges.length <= MOST_TOKENS &&
    tokens.length <= MOST_TOKENS &&
    tokens.every(
      ([token, id]) => token.length <= LONGEST_TOKEN && Number.isInteger(id) && (id as number) >= 0 && (id as number) < 2 * MOST_TOKENS,
    )
  );
}

function areShort(added: unknown): boolean {
  if (!Array.isArray(added) || added.length > MOST_ADDED) return false;
  return added.every((token) => isFields(token) && typeof token.content === 'string' && token.content.length <= LONGEST_TOKEN);
}

function isFields(value: unknown): value is Fields {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
