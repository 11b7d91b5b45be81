// The shapes of instruction data: which fields of an item hold the prompt, the answer or the turns.
import { type NamedFields, valueAt } from './named-fields.js';

/** Fields of an item, by their role in a sample; the names are the item's own. */
export interface Shape {
  readonly kind: 'messages' | 'pair' | 'text';
  readonly fields: Partial<Record<keyof NamedFields, string>>;
}

/** An item that cannot be learnt from, or not without a word from its owner. */
export interface NoShape {
  readonly why: string;
}

const CONVERSATIONS = ['messages', 'conversations', 'conversation', 'dialogue', 'dialog', 'turns'] as const;
const PROMPTS = ['instruction', 'prompt', 'question', 'query', 'user', 'inputs'] as const;
const ANSWERS = ['completion', 'response', 'output', 'answer', 'answers', 'target', 'targets', 'assistant'] as const;
const SYSTEMS = ['system', 'system_prompt', 'system_message'] as const;

/** The shapes as messages name them. */
export const KNOWN =
  'instruction/context/response, instruction/input/output, prompt/completion, prompt/response, question/answer, text, messages or conversations';

/**
 * The shape of an item, recognized by all its fields; the reason if it has none, or if two fields
 * could hold the same thing.
 */
export function shapeOf(item: object): Shape | NoShape {
  const has = (name: string): boolean => Object.hasOwn(item, name) && (item as Record<string, unknown>)[name] !== null;
  const found = (names: readonly string[]): string[] => names.filter(has);
  const refused = notForTuning(item, has);
  if (refused !== undefined) return { why: refused };
  const several = (names: readonly string[], what: string): NoShape => ({
    why: `${names.join(' and ')} could each be the ${what}; say which: "fields": {${what === 'conversation' ? '"messages"' : '"prompt": …, "answer"'}: …}`,
  });
  const system = found(SYSTEMS)[0];
  const conversations = found(CONVERSATIONS);
  if (conversations.length > 1) return several(conversations, 'conversation');
  if (conversations[0] !== undefined) return { kind: 'messages', fields: { messages: conversations[0], system } };
  const answers = found(ANSWERS);
  const prompts = found(PROMPTS);
  // `input` is the context of an instruction, and a prompt where there is no other.
  if (prompts.length === 0 && has('input')) prompts.push('input');
  if (answers.length > 1) return several(answers, 'answer');
  if (prompts.length > 1 && answers.length === 1) return several(prompts, 'prompt');
  const [answer] = answers;
  if (answer !== undefined) {
    const prompt = prompts[0] ?? (answer === 'completion' ? 'prompt' : answer.startsWith('answer') ? 'question' : 'instruction');
    return { kind: 'pair', fields: { prompt, context: contextOf(prompt, has), system, answer } };
  }
  if (has('text') && prompts.length === 0) return { kind: 'text', fields: { text: 'text' } };
  const names = Object.keys(item).slice(0, 8).join(', ') || '(none)';
  return { why: `the fields ${names} are no known shape; write ${KNOWN}, or say which is which with "fields"` };
}

function contextOf(prompt: string, has: (name: string) => boolean): string | undefined {
  if (prompt === 'input') return has('context') ? 'context' : undefined;
  return ['context', 'input'].find(has);
}

/** The shape that a person has named. */
export function namedShape(fields: NamedFields): Shape {
  return { kind: fields.messages !== undefined ? 'messages' : fields.text !== undefined ? 'text' : 'pair', fields };
}

/** The reason why an item is not for supervised fine-tuning, though it has fields that are. */
function notForTuning(item: object, has: (name: string) => boolean): string | undefined {
  if (has('chosen') || has('rejected'))
    return 'chosen and rejected are a preference set (for DPO and reward models), which the built-in trainer does not learn from; to learn the chosen answers, say "fields": {"prompt": "prompt", "answer": "chosen"}, or {"messages": "chosen"} where they are turns';
  if (has('completions') && has('labels'))
    return 'completions and labels are a set for process rewards, which the built-in trainer does not learn from';
  if (has('completion') && typeof valueAt(item, 'label') === 'boolean')
    return 'completion with a label that is true or false is an unpaired preference set (for KTO), which the built-in trainer does not learn from; keep those whose label is true and drop the field';
  if (has('choices') && typeof valueAt(item, 'answer') === 'number')
    return 'choices with the number of an answer are multiple choice; write the text of the answer';
  return undefined;
}
