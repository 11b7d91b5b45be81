// The filters of a site's owner, applied to every update that leaves the site, whatever a job says.
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';
import { type Choice, choiceSchema, chosen, type Table } from '../core/row.js';
import type { Filter } from './filter.js';

/**
 * The schema of a list of choices from the table; a filter that does not work on updates is refused
 * by name.
 */
export function siteFiltersSchema(table: Table<Filter>) {
  return z.array(choiceSchema(table, 'filter')).superRefine((choices, context) => {
    for (const [index, choice] of choices.entries()) {
      const message = unfit(choice, chosen(table, choice));
      if (message !== undefined) context.addIssue({ code: 'custom', path: [index], message });
    }
  });
}

/**
 * Makes the filters of a list of choices. Throws `bad-argument`, naming a filter that does not
 * exist or does not work on updates.
 */
export function siteFilters(choices: readonly Choice[], table: Table<Filter>): Filter[] {
  const parsed = siteFiltersSchema(table).safeParse(choices);
  if (parsed.success) return parsed.data.map((choice) => chosen(table, choice));
  const issues = parsed.error.issues.map(({ path, message }) => `filters.${path.join('.')}: ${message}`);
  throw new FedStreamError('bad-argument', `the filters of the site: ${issues.join('; ')}`);
}

function unfit({ type }: Choice, { on, makes }: Filter): string | undefined {
  if (on !== 'model' && makes === undefined) return undefined;
  return `${type}: a site's own filters work on the update that leaves it; this one ${makes ? 'makes something else of it' : 'works on whole weights'}`;
}
