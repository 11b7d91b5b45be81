// The options of a row, as a job brings them: what its schema says, and nothing else.
import { choiceSchema, chosen, type Row } from '../core/row.js';
import { check, equal } from './checks.js';

/** Options of a row, as a job writes them beside the name. */
export type Options = Readonly<Record<string, unknown>>;

/** Makes what a job would get from the row with these options. */
export function madeOf<Made>(row: Row<Made>, options: Options = {}): Made {
  return chosen([row], choiceSchema([row], 'row').parse({ type: row.name, ...options }));
}

/**
 * A job is data: it is stored, sent to sites and read again. Its options must come through that
 * unchanged, and one that nobody knows must be refused by name.
 */
export function checkOptions<Made>(row: Row<Made>, options: Options = {}): void {
  const { name } = row;
  const schema = choiceSchema([row], 'row');
  const parsed = schema.safeParse({ type: name, ...options });
  check(parsed.success, `${name} refuses its own options ${JSON.stringify(options)}: ${parsed.error?.message}`);
  const text = JSON.stringify(parsed.data);
  const again = schema.safeParse(JSON.parse(text));
  check(again.success, `${name} refuses its options as a job stores them: ${again.error?.message}`);
  equal(JSON.stringify(again.data), text, `the options of ${name}, read once more`);
  const unknown = schema.safeParse({ type: name, ...options, 'no-option': 1 });
  check(!unknown.success, `${name} takes an option that it does not have; make its schema a z.strictObject`);
  const { message } = unknown.error;
  check(message.includes(`no-option: unknown option of ${name}`), `${name} does not name the option that it does not have: ${message}`);
}
