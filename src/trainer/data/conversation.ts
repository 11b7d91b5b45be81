// Conversations as data sets have them: OpenAI's messages, ShareGPT's turns, lists of strings; with
// tool calls and content in parts.
import { z } from 'zod';

/** One turn, as a chat template takes it; other fields (`tool_calls`, `name`, …) are kept. */
export interface Message {
  readonly role: string;
  /** Null for a turn that only calls tools. */
  readonly content: string | null;
  readonly [field: string]: unknown;
}

/** Names of fields within a turn. */
export interface TurnFields {
  readonly role: string;
  readonly content: string;
}

/** Roles of ShareGPT and its heirs; any other role stays as it is. */
const ROLES: ReadonlyMap<string, string> = new Map([
  ['human', 'user'],
  ['prompter', 'user'],
  ['gpt', 'assistant'],
  ['bot', 'assistant'],
  ['model', 'assistant'],
  ['chatgpt', 'assistant'],
  ['bing', 'assistant'],
  ['bard', 'assistant'],
  ['function_call', 'assistant'],
  ['observation', 'tool'],
  ['function_response', 'tool'],
]);

/** Fields in which a turn has its role and its text. */
const TURNS: readonly TurnFields[] = [
  { role: 'role', content: 'content' },
  { role: 'from', content: 'value' },
  { role: 'role', content: 'value' },
  { role: 'from', content: 'content' },
  { role: 'role', content: 'text' },
];

const part = z.union(
  [z.string().transform((text) => ({ text })), z.looseObject({ type: z.literal('text').optional(), text: z.string() })],
  {
    error: 'only parts of text can be learnt',
  },
);
const content = z.union([z.string(), z.null(), z.array(part).transform((parts) => parts.map(({ text }) => text).join(''))], {
  error: (issue) =>
    Array.isArray(issue.input) ? 'a part is no text; only text can be learnt' : `expected string, received ${typeOf(issue.input)}`,
});

/** Turns of a conversation; strings take turns, the user first. */
export function messagesSchema(named?: Partial<TurnFields>): z.ZodType<Message[]> {
  const turn = z.unknown().transform((value, context) => toMessage(value, named, context));
  return z
    .array(turn)
    .min(2)
    .transform((turns) =>
      turns.map((one, index) => (typeof one === 'string' ? { role: index % 2 ? 'assistant' : 'user', content: one } : one)),
    )
    .refine((all) => all.some(isAnswer), 'there is no message of the assistant, so no answer to learn');
}

function toMessage(value: unknown, named: Partial<TurnFields> | undefined, context: z.RefinementCtx): Message | string {
  const bad = (path: string | undefined, message: string): never => {
    context.addIssue({ code: 'custom', message, path: path === undefined ? [] : [path] });
    return z.NEVER;
  };
  if (typeof value === 'string' && !named) return value;
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    return bad(undefined, `expected a message, received ${typeOf(value)}`);
  const fields = fieldsOf(value, named);
  const { [fields.role]: role, [fields.content]: raw, ...rest } = value as Record<string, unknown>;
  if (typeof role !== 'string' || role === '') return bad(fields.role, `expected string, received ${typeOf(role)}`);
  const calls = rest.tool_calls !== undefined && rest.tool_calls !== null;
  const parsed = content.safeParse(calls ? (raw ?? null) : raw);
  if (!parsed.success) return bad(fields.content, parsed.error.issues[0]?.message ?? 'is no text');
  if (parsed.data === null && !calls && rest.function_call === undefined) return bad(fields.content, 'expected string, received null');
  // Parquet and Arrow have a null in every field that another message of the column has.
  const filled = Object.entries(rest).filter(([, field]) => field !== null && field !== undefined);
  return { role: ROLES.get(role) ?? role, content: parsed.data, ...Object.fromEntries(filled) };
}

function fieldsOf(value: object, named: Partial<TurnFields> = {}): TurnFields {
  const found = TURNS.find(({ role, content }) => Object.hasOwn(value, role) && Object.hasOwn(value, content));
  const role = TURNS.find((fields) => Object.hasOwn(value, fields.role))?.role ?? 'role';
  const fallback = found ?? { role, content: role === 'from' ? 'value' : 'content' };
  return { role: named.role ?? fallback.role, content: named.content ?? fallback.content };
}

function typeOf(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
}

/** True for a turn of the assistant that says something or calls a tool, unless the data gives it the weight 0. */
export function isAnswer({ role, content, tool_calls, weight }: Message): boolean {
  return role === 'assistant' && weight !== 0 && ((content ?? '').trim() !== '' || (tool_calls !== undefined && tool_calls !== null));
}

/** A turn as plain text, for a model without a chat template. */
export function plainText({ content, tool_calls, function_call }: Message): string {
  const calls = tool_calls ?? function_call;
  return [content ?? '', calls === undefined ? '' : JSON.stringify(calls)].filter((text) => text !== '').join('\n');
}
