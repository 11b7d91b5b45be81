// Rows of the kit: a name that a job writes, its options, and the thing made of them.
import { z } from 'zod';
import { FedStreamError } from './errors.js';

/**
 * One thing that a job can ask for by name. Its options are data: they travel and are stored with
 * the job.
 */
export interface Row<Made> {
  /** The name that a job writes. */
  readonly name: string;
  /**
   * The options beside the name: a strict object, each field with a default if there is a good one.
   */
  readonly options: z.ZodObject;
  /** Makes the thing from `options` as the schema returned them. */
  make(options: never): Made;
}

/** The rows to choose from, passed in by whoever starts a server or a site. */
export type Table<Made> = readonly Row<Made>[];

/** A choice in a job: the row's name as `type`, and its options beside it. */
export type Choice = { readonly type: string } & Readonly<Record<string, unknown>>;

/** A row whose `make` takes the output of its schema. */
export function row<Schema extends z.ZodObject, Made>(name: string, options: Schema, make: (options: z.output<Schema>) => Made): Row<Made> {
  return { name, options, make: make as (options: never) => Made };
}

/**
 * The schema of a choice from the table: a row's name, or `{"type": name, …options}`. An unknown
 * name is an error that lists the names of the table.
 */
export function choiceSchema(table: Table<unknown>, what: string): z.ZodType<Choice, string | Choice> {
  return z
    .custom<string | Choice>(() => true)
    .transform((value, context): Choice => {
      const given = typeof value === 'string' ? { type: value } : value;
      const type = given !== null && typeof given === 'object' && !Array.isArray(given) ? given.type : undefined;
      const found = table.find(({ name }) => name === type);
      if (!found) {
        const names = table.map(({ name }) => name).join(', ');
        const asked = type === undefined ? `must be a name, or {"type": name, …}` : `there is no ${what} ${JSON.stringify(type)}`;
        context.addIssue({ code: 'custom', message: `${asked}; the ${what}s are ${names}` });
        return z.NEVER;
      }
      const { type: _, ...options } = given;
      const parsed = found.options.safeParse(options);
      if (parsed.success) return { type: found.name, ...parsed.data };
      for (const issue of parsed.error.issues.map(plainest))
        context.addIssue({ code: 'custom', path: issue.path.slice(), message: messageOf(issue, found) });
      return z.NEVER;
    });
}

/**
 * Checks a choice against the table and makes what it stands for. Throws `bad-argument`, naming
 * each wrong field and the rows that there are; `what` is the kind of thing, for messages.
 */
export function choose<Made>(table: Table<Made>, choice: unknown, what: string): Made {
  const { data, error } = choiceSchema(table, what).safeParse(choice as never);
  if (data) return chosen(table, data);
  const issues = error.issues.map(({ path, message }) => [...path, message].join(': '));
  throw new FedStreamError('bad-argument', `${what} ${JSON.stringify(choice)}: ${issues.join('; ')}`);
}

/** Makes the thing that a checked choice stands for. */
export function chosen<Made>(table: Table<Made>, { type, ...options }: Choice): Made {
  const found = table.find(({ name }) => name === type) as Row<Made>;
  return found.make(options as never);
}

/** The message that somebody has written, if an option may be one of several things. */
function plainest(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  const inner = issue.code === 'invalid_union' ? issue.errors.flat().find(({ code }) => code === 'custom') : undefined;
  return inner ? { ...inner, path: [...issue.path, ...inner.path] } : issue;
}

function messageOf(issue: z.core.$ZodIssue, { name, options }: Row<unknown>): string {
  if (issue.code !== 'unrecognized_keys') return issue.message;
  const fields = Object.keys(options.shape);
  return `${issue.keys.join(', ')}: unknown option of ${name}; ${fields.length === 0 ? 'it has none' : `it has ${fields.join(', ')}`}`;
}
