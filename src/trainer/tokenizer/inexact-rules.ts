// Rules that would give other tokens here than in the reference; they are refused by name.
import { FedStreamError } from '../../core/errors.js';

type Fields = { readonly [name: string]: unknown };

const NORMALIZERS: ReadonlySet<string> = new Set(['Precompiled', 'Nmt', 'ByteLevel']);
const PRE_TOKENIZERS: ReadonlySet<string> = new Set(['UnicodeScripts', 'CharDelimiterSplit']);
/** Splits whose pieces the library cuts as the reference does. */
const BEHAVIORS: ReadonlySet<unknown> = new Set(['Isolated', 'Removed']);

/** Throws `bad-model` for a tokenizer with such a rule. */
export function refuseInexact(json: Record<string, unknown>, source: string): void {
  const refuse = (what: string): never => {
    throw new FedStreamError(
      'bad-model',
      `${source}: ${what} would give other tokens here than in the reference; train such a model with a trainer of your own (docs/trainer.md)`,
    );
  };
  for (const { type } of rulesOf(json.normalizer, 'normalizers'))
    if (NORMALIZERS.has(String(type))) refuse(`the normalizer ${String(type)}`);
  for (const rule of rulesOf(json.pre_tokenizer, 'pretokenizers')) {
    const type = String(rule.type);
    if (PRE_TOKENIZERS.has(type)) refuse(`the pre-tokenizer ${type}`);
    if (type === 'Punctuation' && ![undefined, 'Isolated', 'Contiguous'].includes(rule.behavior as string | undefined))
      refuse(`the behavior ${String(rule.behavior)} of the pre-tokenizer Punctuation`);
    if (type === 'Split' && rule.invert !== true && !BEHAVIORS.has(rule.behavior))
      refuse(`the behavior ${String(rule.behavior)} of the pre-tokenizer Split`);
  }
}

function rulesOf(rule: unknown, field: string): Fields[] {
  if (rule === null || typeof rule !== 'object') return [];
  const fields = rule as Fields;
  if (fields.type !== 'Sequence') return [fields];
  const inner = fields[field];
  return Array.isArray(inner) ? inner.flatMap((one) => rulesOf(one, field)) : [];
}
