// Encodes conversations with a model's chat template: the ids of the whole text, of which every answer
// is learnt (docs/data.md says how that compares with TRL).
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import type { Message } from './conversation.js';
import type { Sample } from './sample.js';

/** The ids of a sample, and which of them are learnt. */
export interface Learnable {
  readonly ids: readonly number[];
  /** 1 for each id that is a target. */
  readonly learnt: Uint8Array;
  /** Answers that were not found in the rendered text. */
  readonly lost: number;
}

/** True where the template encodes the sample; our own tokenizers have a template of text alone. */
export function usesTemplate({ chat, turns }: Tokenizer, { prompt, messages }: Sample): boolean {
  if (!chat || (prompt === '' && !messages)) return false;
  if (!turns) return true;
  return messages?.every(({ role, content, ...rest }) => isOwnTurn(role, content, rest)) ?? false;
}

function isOwnTurn(role: string, content: string | null, rest: object): boolean {
  return (role === 'user' || role === 'assistant') && content !== null && !('tool_calls' in rest);
}

/** Encodes a conversation, or a prompt and its answer as one; throws as `render` does. */
export function encodeChat(tokenizer: Tokenizer, sample: Sample): Learnable {
  const messages: readonly Message[] = sample.messages ?? [
    { role: 'user', content: sample.prompt },
    { role: 'assistant', content: sample.answer },
  ];
  const { text, spans, lost } = (tokenizer.chat as NonNullable<Tokenizer['chat']>).render(messages, sample.tools);
  const ids = tokenizer.encodeRendered(text);
  const learnt = new Uint8Array(ids.length);
  for (const [start, end, prompt] of spans) {
    if (end <= start) continue;
    const [first] = boundary(tokenizer, prompt ?? text.slice(0, start), ids);
    const [last, within] = boundary(tokenizer, text.slice(0, end), ids);
    learnt.fill(1, first, within ? last + 1 : last);
  }
  return { ids, learnt, lost };
}

/**
 * A text that is learnt as a whole, as TRL has it: the tokenizer's own marks around it, and an end
 * that is not doubled. Such texts were often rendered before, so that special tokens that they spell
 * are tokens.
 */
export function encodeText({ encodeRendered, around, endToken }: Tokenizer, text: string): Learnable {
  const inner = encodeRendered(text);
  const end = inner.at(-1) === endToken ? [] : [endToken];
  const ids = [...around.before, ...inner, ...end, ...around.after];
  return { ids, learnt: new Uint8Array(ids.length).fill(1), lost: 0 };
}

/** The id at which a place of the text lies, and true where it lies within that id. */
function boundary({ encodeRendered }: Tokenizer, before: string, ids: readonly number[]): [number, boolean] {
  const front = encodeRendered(before);
  let same = 0;
  while (same < front.length && front[same] === ids[same]) same++;
  return [same, same < front.length];
}
