// The policy of a site's owner: filters on every result that no job can switch off.
import { z } from 'zod';
import type { Logger } from '../core/log.js';
import type { Choice, Table } from '../core/row.js';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { readState } from '../exchange/state-file.js';
import { builtInFilters } from '../filter/built-in.js';
import type { Filter } from '../filter/filter.js';
import { siteFilters } from '../filter/site-filters.js';
import { dropResult } from './kept-result.js';

export interface SitePolicy {
  /** In the order in which they are applied; each works on updates, or on either. */
  readonly filters: readonly Choice[];
  /** The table that they are chosen from; the built-in ones by default. */
  readonly table?: Table<Filter>;
}

/** The choices under which the results in the site's folder were made. */
const STATE = 'policy.json';
const stateSchema = z.strictObject({ filters: z.array(z.unknown()) });

export interface EnforceOptions {
  readonly policy: SitePolicy | undefined;
  /** The site's own folder. */
  readonly folder: Folder;
  readonly log: Logger;
}

/**
 * Makes the filters of a policy, and says once in the log which they are. A result that an earlier
 * process made under another policy is dropped: it would leave without these. `bad-argument` names
 * a filter that is none, or does not work on updates.
 */
export async function enforcePolicy({ policy, folder, log }: EnforceOptions): Promise<readonly Filter[]> {
  const { filters: choices = [], table = builtInFilters } = policy ?? {};
  const filters = siteFilters(choices, table);
  const before = await readState(folder, STATE, stateSchema);
  if (JSON.stringify(before?.filters ?? []) !== JSON.stringify(choices)) {
    await dropResult(folder);
    await writeText(folder, STATE, JSON.stringify({ filters: choices }));
  }
  if (filters.length > 0) log.info({ filters: choices }, "every result passes the filters of the site's owner");
  return filters;
}
