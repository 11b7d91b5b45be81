// Names of fields that a person gives for data in a shape of its own.
import { z } from 'zod';
import { FedStreamError } from '../../core/errors.js';

const field = z.string().min(1).max(256);

/**
 * The fields of a sample, by what they hold. A dot goes into an object or a list
 * (`answers.text.0`), unless a field has that very name.
 */
export const namedFieldsSchema = z
  .strictObject({
    prompt: field.optional(),
    /** Stands behind the prompt: the text that a question is about. */
    context: field.optional(),
    system: field.optional(),
    answer: field.optional(),
    /** A list of turns, with `role` and `content` the fields of a turn. */
    messages: field.optional(),
    role: field.optional(),
    content: field.optional(),
    tools: field.optional(),
    /** Learnt as a whole. */
    text: field.optional(),
    category: field.optional(),
  })
  .refine((fields) => [fields.messages, fields.text, fields.answer].filter((name) => name !== undefined).length === 1, {
    message: 'must name one of answer (with prompt), messages or text',
  })
  .refine((fields) => (fields.prompt === undefined) === (fields.answer === undefined), { message: 'prompt and answer go together' });

/** Fields that a person named. */
export type NamedFields = z.output<typeof namedFieldsSchema>;

/** The value of a field, or of a path with dots; undefined if there is none. */
export function valueAt(sample: object, path: string): unknown {
  if (Object.hasOwn(sample, path)) return (sample as Record<string, unknown>)[path];
  let value: unknown = sample;
  for (const name of path.split('.')) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

/** `prompt=question,answer=reply` of a command line; throws `bad-argument`. */
export function parseNamedFields(text: string): NamedFields {
  const pairs = text.split(',').map((pair) => {
    const at = pair.indexOf('=');
    if (at < 0)
      throw new FedStreamError(
        'bad-argument',
        `fields ${text}: ${JSON.stringify(pair)} has no "="; write for example prompt=question,answer=reply`,
      );
    return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()] as const;
  });
  const parsed = namedFieldsSchema.safeParse(Object.fromEntries(pairs));
  if (parsed.success) return parsed.data;
  const what = parsed.error.issues.map(({ message }) => message).join('; ');
  throw new FedStreamError('bad-argument', `fields ${text}: ${what}; write for example prompt=question,answer=reply`);
}
