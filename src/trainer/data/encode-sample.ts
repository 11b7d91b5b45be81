// Turns samples into tokens: prompt, answer and end; the loss covers only answer and end.
import type { Example } from '../example.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import type { Sample } from './sample.js';

/** Samples as tokens. */
export interface Encoded {
  readonly examples: readonly Example[];
  /** Number of samples whose prompt leaves no room for an answer. */
  readonly skipped: number;
  /** Number of samples whose answer was cut at `maxTokens`. */
  readonly truncated: number;
}

/**
 * Encodes samples as `<|user|>prompt<|assistant|>answer<|end|>`; a tokenizer without those tokens
 * gets headings in plain text.
 */
export function encodeSamples(tokenizer: Tokenizer, samples: readonly Sample[], maxTokens: number): Encoded {
  const examples: Example[] = [];
  let skipped = 0;
  let truncated = 0;
  for (const sample of samples) {
    const prompt = promptTokens(tokenizer, sample.prompt);
    const tokens = [...prompt, ...tokenizer.encode(sample.answer), tokenizer.endToken];
    if (prompt.length >= maxTokens) {
      skipped++;
      continue;
    }
    if (tokens.length > maxTokens) truncated++;
    examples.push({ tokens: Int32Array.from(tokens.slice(0, maxTokens)), promptTokens: prompt.length, category: sample.category });
  }
  return { examples, skipped, truncated };
}

/** The tokens before an answer, in training and in use. */
export function promptTokens({ encode, turns }: Tokenizer, prompt: string): number[] {
  if (turns) return [turns.user, ...encode(prompt), turns.assistant];
  return encode(`### Instruction:\n${prompt}\n\n### Response:\n`);
}
