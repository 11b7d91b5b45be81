// Tokens of a text: added tokens first, then normalizer and pre-tokenizer (Hugging Face's own
// library), then the model.
import type { Tokenizer as HfTokenizer } from '@huggingface/tokenizers';
import { FedStreamError } from '../../core/errors.js';
import { AddedTokens, addedTokensOf } from './added-tokens.js';
import { bpeEncoder, type EncodeWord } from './bpe.js';
import { refuseInexact } from './inexact-rules.js';
import { unigramEncoder } from './unigram.js';

/** Encodes a text; with `plain`, special tokens that it spells stay text. */
export type EncodeText = (text: string, plain: boolean) => number[];

/** Makes the encoder of a tokenizer.json; it throws `bad-model`, as making it does. */
export function textEncoder(json: Record<string, unknown>, library: HfTokenizer, source: string): EncodeText {
  refuseInexact(json, source);
  const { normalizer, pre_tokenizer: preTokenizer } = library;
  const encodeWord = wordEncoder(json, library, source);
  const added = addedTokensOf(json);
  const asWritten = new AddedTokens(added.filter(({ normalized }) => !normalized));
  const normalized = new AddedTokens(
    added.filter((token) => token.normalized),
    ({ content }) => (normalizer ? normalizer(content) : content),
  );
  const encode = (text: string, plain: boolean): number[] => {
    const ids: number[] = [];
    for (const part of asWritten.split(text, plain)) {
      if (part.id !== undefined) {
        ids.push(part.id);
        continue;
      }
      const clean = normalizer ? normalizer(part.text) : part.text;
      for (const inner of normalized.split(clean, plain)) {
        if (inner.id !== undefined) {
          ids.push(inner.id);
          continue;
        }
        const section = part.start + inner.start === 0 ? 0 : 1;
        const words = preTokenizer ? preTokenizer(inner.text, { section_index: section }) : [inner.text];
        for (const word of words) for (const id of encodeWord(word)) ids.push(id);
      }
    }
    return ids;
  };
  return (text, plain) => {
    const ids = wellDone(() => encode(text, plain));
    if (!(ids instanceof Error) && ids.every((id) => Number.isSafeInteger(id) && id >= 0) && (ids.length > 0 || text === '')) return ids;
    if (ids instanceof FedStreamError) throw ids;
    if (!(ids instanceof Error) && ids.length === 0 && text.trim() === '') return [];
    throw new FedStreamError(
      'bad-model',
      `${source} has no tokens for ${JSON.stringify(text.slice(0, 40))}; its vocabulary is not complete`,
      {
        cause: ids,
      },
    );
  };
}

function wellDone(encode: () => number[]): number[] | Error {
  try {
    return encode();
  } catch (cause) {
    return cause as Error;
  }
}

function wordEncoder(json: Record<string, unknown>, library: HfTokenizer, source: string): EncodeWord {
  const model = json.model as Record<string, unknown>;
  const type = model.type ?? (Array.isArray(model.vocab) ? 'Unigram' : model.merges ? 'BPE' : undefined);
  if (type === 'BPE') return bpeEncoder(model, source);
  if (type === 'Unigram') return unigramEncoder(model, source);
  return (word) => {
    const tokens = library.model([word]);
    const ids = tokens.map((token: string) => library.token_to_id(token) ?? library.model.unk_token_id);
    return ids as number[];
  };
}
