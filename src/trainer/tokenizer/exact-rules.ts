// Pre-tokenizers that the library cuts otherwise than the reference, written as patterns that it
// cuts alike.

type Fields = { readonly [name: string]: unknown };

// The reference's \w is Unicode's, its digits are all numbers, its punctuation is ASCII's, too.
const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}';
const PUNCTUATION = '\\p{P}\\u0021-\\u002F\\u003A-\\u0040\\u005B-\\u0060\\u007B-\\u007E';

/** The tokenizer.json with such rules replaced; everything else is the same. */
export function withExactRules(json: Record<string, unknown>): Record<string, unknown> {
  return { ...json, pre_tokenizer: exact(json.pre_tokenizer) };
}

function exact(rule: unknown): unknown {
  if (rule === null || typeof rule !== 'object') return rule ?? null;
  const fields = rule as Fields;
  switch (fields.type) {
    case 'Sequence':
      return { ...fields, pretokenizers: Array.isArray(fields.pretokenizers) ? fields.pretokenizers.map(exact) : fields.pretokenizers };
    case 'Whitespace':
      return pieces(`[${WORD}]+|[^${WORD}\\s]+`);
    case 'Digits':
      return pieces(`[^\\p{N}]+|\\p{N}${fields.individual_digits ? '' : '+'}`);
    case 'Punctuation':
      return pieces(`[^${PUNCTUATION}]+|[${PUNCTUATION}]${fields.behavior === 'Contiguous' ? '+' : ''}`);
    default:
      return rule;
  }
}

/** The matches of a pattern are the pieces. */
function pieces(Regex: string): Fields {
  return { type: 'Split', pattern: { Regex }, behavior: 'Removed', invert: true };
}
