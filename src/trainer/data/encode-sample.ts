// Turns samples into tokens: prompt, answer and end; the loss covers only answer and end.
import { FedStreamError } from '../../core/errors.js';
import type { Example } from '../example.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { encodeChat, encodeText, type Learnable, usesTemplate } from './encode-chat.js';
import type { Sample } from './sample.js';

/** Samples as tokens. */
export interface Encoded {
  readonly examples: readonly Example[];
  /** Number of samples whose prompt leaves no room for an answer. */
  readonly skipped: number;
  /** Number of samples whose answer was cut at `maxTokens`. */
  readonly truncated: number;
  /** Number of answers that were not found in what the chat template rendered, and are not learnt. */
  readonly lost: number;
  /** Samples that the chat template refused, and the first reason. */
  readonly refused: { readonly count: number; readonly reason: string };
}

/**
 * Encodes samples with the model's chat template, if it has one (docs/data.md). Without one, as
 * `<|user|>prompt<|assistant|>answer<|end|>`; a tokenizer without those tokens gets headings in
 * plain text.
 */
export function encodeSamples(tokenizer: Tokenizer, samples: readonly Sample[], maxTokens: number): Encoded {
  const examples: Example[] = [];
  let skipped = 0;
  let truncated = 0;
  let lost = 0;
  const refused = { count: 0, reason: '' };
  const take = (learnable: Learnable, category: string | undefined): void => {
    const ids = learnable.ids.slice(0, maxTokens);
    const learnt = learnable.learnt.subarray(0, maxTokens);
    lost += learnable.lost;
    // The first id has none before it that could foretell it.
    const first = learnt.indexOf(1, 1);
    if (first < 0) skipped++;
    else {
      if (learnable.ids.length > maxTokens) truncated++;
      examples.push({ tokens: Int32Array.from(ids), promptTokens: first, category, learnt });
    }
  };
  for (const sample of samples) {
    if (usesTemplate(tokenizer, sample)) {
      try {
        take(encodeChat(tokenizer, sample), sample.category);
      } catch (error) {
        if (!(error instanceof FedStreamError) || error.code !== 'bad-data') throw error;
        if (refused.count++ === 0) refused.reason = error.message;
      }
      continue;
    }
    if (sample.prompt === '') {
      take(encodeText(tokenizer, sample.answer), sample.category);
      continue;
    }
    const prompt = promptTokens(tokenizer, sample.prompt);
    const tokens = [...prompt, ...tokenizer.encode(sample.answer), tokenizer.endToken];
    if (prompt.length >= maxTokens) {
      skipped++;
      continue;
    }
    if (tokens.length > maxTokens) truncated++;
    examples.push({ tokens: Int32Array.from(tokens.slice(0, maxTokens)), promptTokens: prompt.length, category: sample.category });
  }
  return { examples, skipped, truncated, lost, refused };
}

/** The tokens before an answer, in training and in use. */
export function promptTokens({ encode, turns }: Tokenizer, prompt: string): number[] {
  if (turns) return [turns.user, ...encode(prompt), turns.assistant];
  return encode(`### Instruction:\n${prompt}\n\n### Response:\n`);
}
