// Reads a sample of instruction data, in any of the shapes that data sets use.
import { z } from 'zod';
import { FedStreamError } from '../../core/errors.js';
import { isAnswer, type Message, messagesSchema, plainText } from './conversation.js';
import { type NamedFields, valueAt } from './named-fields.js';
import { KNOWN, namedShape, type Shape, shapeOf } from './shapes.js';

/** A prompt and the answer to learn. */
export interface Sample {
  /** Empty for a text that is learnt as a whole. */
  readonly prompt: string;
  readonly answer: string;
  readonly category?: string;
  /** The turns of a conversation that is more than a prompt and an answer; for models with a chat template. */
  readonly messages?: readonly Message[];
  /** Definitions of the tools that the assistant may call. */
  readonly tools?: readonly unknown[];
}

const text = z.string();
const category = z
  .union([z.string().min(1), z.number(), z.bigint(), z.boolean()])
  .optional()
  .nullable();
/** An answer of reading comprehension (SQuAD) is the first of several. */
const answers = z.union([text, z.tuple([text], text).transform(([first]) => first), firstText()], {
  error: 'expected string, or a list of strings',
});
const maybeText = text.nullish();
const anything = z.unknown();
/** Turns in place of a text are TRL's. */
const asking = z.union([text, z.array(z.looseObject({}))], { error: 'expected string' });
const tools = z.array(z.unknown()).nullish();
/** Tools are text in Parquet, whose columns have one type. */
const toolsOrText = z.union([tools, text.transform((json, context) => parsedTools(json, context))]);

const OPTIONAL: ReadonlySet<z.ZodType> = new Set<z.ZodType>([category, maybeText, toolsOrText]);

/**
 * Reads one item; throws `bad-data`, which names `where` (file and line) and the field. `named` are
 * the fields that the owner of the data named.
 */
export function parseSample(value: unknown, where: string, named?: NamedFields): Sample {
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw new FedStreamError('bad-data', `${where}: a sample is an object of ${KNOWN}`);
  const shape = named ? namedShape(named) : shapeOf(value);
  if ('why' in shape) throw new FedStreamError('bad-data', `${where}: ${shape.why}`);
  const read = <T>(role: keyof NamedFields, schema: z.ZodType<T>): T => field(value, shape, role, schema, where);
  const kind = read('category', category);
  const parsed = parts(shape, read, named, where);
  if (parsed.prompt.trim() === '' && shape.kind !== 'text') throw new FedStreamError('bad-data', `${where}: the prompt is empty`);
  if (parsed.answer.trim() === '') throw new FedStreamError('bad-data', `${where}: the answer is empty`);
  return kind === undefined || kind === null ? parsed : { ...parsed, category: String(kind) };
}

const TURNS = messagesSchema();
/** Schemas take long to make; one serves all samples of a file. */
const namedTurns = new WeakMap<NamedFields, z.ZodType<Message[]>>();

function turnsOf(named: NamedFields | undefined): z.ZodType<Message[]> {
  if (named?.role === undefined && named?.content === undefined) return TURNS;
  const known = namedTurns.get(named);
  const turns = known ?? messagesSchema(named);
  if (!known) namedTurns.set(named, turns);
  return turns;
}

type Read = <T>(role: keyof NamedFields, schema: z.ZodType<T>) => T;

function parts({ kind, fields }: Shape, read: Read, named: NamedFields | undefined, where: string): Sample {
  if (kind === 'text') return { prompt: '', answer: read('text', text) };
  const system = read('system', maybeText) ?? '';
  const turns = turnsOf(named);
  if (kind === 'messages') return fromMessages(withSystem(read('messages', turns), system), read('tools', toolsOrText));
  const context = read('context', maybeText) ?? '';
  const asked = read('prompt', asking);
  if (typeof asked !== 'string') return fromTurns(asked, read('answer', anything), turns, read, where);
  const answer = read('answer', fields.answer === 'answers' ? answers : text);
  const prompt = [asked, context].filter((part) => part !== '').join('\n\n');
  if (system === '') return { prompt, answer };
  return fromMessages([
    { role: 'system', content: system },
    { role: 'user', content: prompt },
    { role: 'assistant', content: answer },
  ]);
}

function field<T>(item: object, { fields }: Shape, role: keyof NamedFields, schema: z.ZodType<T>, where: string): T {
  const name = fields[role] ?? (role === 'category' || role === 'tools' ? role : undefined);
  const value = name === undefined ? undefined : valueAt(item, name);
  // Most fields are texts or not there, which needs no schema.
  if ((typeof value === 'string' && (schema as unknown) === text) || (value === undefined && OPTIONAL.has(schema))) return value as T;
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0] as z.core.$ZodIssue;
  throw new FedStreamError('bad-data', `${where}: ${[name ?? role, ...issue.path].join('.')}: ${issue.message}`);
}

function withSystem(messages: readonly Message[], system: string): readonly Message[] {
  return system === '' || messages[0]?.role === 'system' ? messages : [{ role: 'system', content: system }, ...messages];
}

/** Prompt and completion that are lists of turns, as TRL has them; only the completion is learnt. */
function fromTurns(prompt: readonly unknown[], answer: unknown, turns: z.ZodType<Message[]>, read: Read, where: string): Sample {
  const parsed = turns.safeParse([...prompt, ...(Array.isArray(answer) ? answer : [{ role: 'assistant', content: answer }])]);
  if (!parsed.success) {
    const issue = parsed.error.issues[0] as z.core.$ZodIssue;
    throw new FedStreamError('bad-data', `${where}: turn ${issue.path.join('.')}: ${issue.message}`);
  }
  const said = parsed.data.map((message, index) =>
    index < prompt.length && message.role === 'assistant' ? { ...message, weight: 0 } : message,
  );
  return fromMessages(said, read('tools', toolsOrText));
}

/**
 * Without a chat template the last answer of the assistant is learnt, and all before it is the
 * prompt; with one, every answer is.
 */
function fromMessages(messages: readonly Message[], tools?: readonly unknown[] | null): Sample {
  const last = messages.findLastIndex(isAnswer);
  const before = messages.slice(0, last);
  const told = tools && tools.length > 0 ? [`tools: ${JSON.stringify(tools)}`] : [];
  const [first] = before;
  const lone = before.length === 1 && told.length === 0;
  const prompt = lone
    ? plainText(first as Message)
    : [...told, ...before.map((message) => `${message.role}: ${plainText(message)}`)].join('\n');
  const answer = messages[last] as Message;
  const sample = { prompt: before.length === 0 ? '' : prompt, answer: plainText(answer) };
  const onlyText = [first, answer].every((message) => message && Object.keys(message).length === 2);
  if (lone && first?.role === 'user' && onlyText && messages.length === 2) return sample;
  return { ...sample, messages, ...(told.length > 0 && { tools: tools as readonly unknown[] }) };
}

function firstText() {
  return z.looseObject({ text: z.tuple([text], text) }).transform((value) => value.text[0]);
}

function parsedTools(json: string, context: z.RefinementCtx): unknown[] | undefined {
  if (json.trim() === '') return undefined;
  try {
    const value: unknown = JSON.parse(json);
    if (Array.isArray(value)) return value;
  } catch {}
  context.addIssue({ code: 'custom', message: 'is no list of tools' });
  return z.NEVER;
}
