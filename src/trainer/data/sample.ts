// Reads a sample of instruction data, in any of the shapes that data sets use.
import { z } from 'zod';
import { FedStreamError } from '../../core/errors.js';

/** A prompt and the answer to learn. */
export interface Sample {
  readonly prompt: string;
  readonly answer: string;
  readonly category?: string;
}

const text = z.string();
const category = z.string().min(1).optional().nullable();
const message = z.object({ role: z.string(), content: text });
const messages = z
  .array(message)
  .min(2)
  .refine((all) => all.some(({ role }) => role === 'assistant'), 'there is no message of the assistant, so no answer to learn');

/** The shapes, each known by a field that only it has. */
const SHAPES: readonly { readonly field: string; parse(value: unknown): Sample | z.ZodError }[] = [
  shape('messages', z.object({ messages, category }), ({ messages, category }) => fromMessages(messages, category)),
  shape('completion', z.object({ prompt: text, completion: text, category }), ({ prompt, completion, category }) =>
    sample([prompt], completion, category),
  ),
  shape(
    'response',
    z.object({ instruction: text, context: text.nullish(), response: text, category }),
    ({ instruction, context, response, category }) => sample([instruction, context ?? ''], response, category),
  ),
  shape(
    'output',
    z.object({ instruction: text, input: text.nullish(), output: text, category }),
    ({ instruction, input, output, category }) => sample([instruction, input ?? ''], output, category),
  ),
];

const KNOWN = 'instruction/context/response, instruction/input/output, prompt/completion or messages';

/** Reads one item; throws `bad-data`, which names `where` (file and line) and the field. */
export function parseSample(value: unknown, where: string): Sample {
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw new FedStreamError('bad-data', `${where}: a sample is an object of ${KNOWN}`);
  const known = SHAPES.find(({ field }) => Object.hasOwn(value, field));
  if (!known)
    throw new FedStreamError(
      'bad-data',
      `${where}: the fields ${Object.keys(value).slice(0, 8).join(', ') || '(none)'} are no known shape; write ${KNOWN}`,
    );
  const parsed = known.parse(value);
  if (parsed instanceof z.ZodError) {
    const issue = parsed.issues[0] as z.core.$ZodIssue;
    throw new FedStreamError('bad-data', `${where}: ${issue.path.join('.') || 'the sample'}: ${issue.message}`);
  }
  if (parsed.prompt.trim() === '') throw new FedStreamError('bad-data', `${where}: the prompt is empty`);
  if (parsed.answer.trim() === '') throw new FedStreamError('bad-data', `${where}: the answer is empty`);
  return parsed;
}

function shape<T>(field: string, schema: z.ZodType<T>, toSample: (value: T) => Sample) {
  return {
    field,
    parse(value: unknown): Sample | z.ZodError {
      const parsed = schema.safeParse(value);
      return parsed.success ? toSample(parsed.data) : parsed.error;
    },
  };
}

/** The last answer of the assistant is learnt; all before it is the prompt. */
function fromMessages(messages: readonly { role: string; content: string }[], category: string | null | undefined): Sample {
  const last = messages.findLastIndex(({ role }) => role === 'assistant');
  const before = messages.slice(0, last);
  const prompt = before.length === 1 ? (before[0]?.content ?? '') : before.map(({ role, content }) => `${role}: ${content}`).join('\n');
  return sample([prompt], messages[last]?.content ?? '', category);
}

function sample(prompt: readonly string[], answer: string, category: string | null | undefined): Sample {
  const whole = prompt.filter((part) => part !== '').join('\n\n');
  return category ? { prompt: whole, answer, category } : { prompt: whole, answer };
}
