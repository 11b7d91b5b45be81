// The policy of a site's owner: filters on every result, which no job can switch off.

import { z } from 'zod';
import { jsonText } from '../core/json-text.js';
import type { Logger } from '../core/log.js';
import type { Choice, Table } from '../core/row.js';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { readState } from '../exchange/state-file.js';
import { builtInFilters } from '../filter/built-in.js';
import type { Filter } from '../filter/filter.js';
import { siteFilters } from '../filter/site-filters.js';
import { dropResult } from './kept-result.js';

/** The filters that a site's owner requires. */
export interface SitePolicy {
  /** The filters in the order of application; each works on updates, or on either subject. */
  readonly filters: readonly Choice[];
  /** The table that the filters are chosen from; the built-in ones by default. */
  readonly table?: Table<Filter>;
}

/** The file that records under which choices the results in the site's folder were made. */
const STATE = 'policy.json';
const stateSchema = z.strictObject({ filters: z.array(z.unknown()) });

/** Options of `enforcePolicy`. */
export interface EnforceOptions {
  readonly policy: SitePolicy | undefined;
  /** The site's own folder. */
  readonly folder: Folder;
  readonly log: Logger;
}

/**
 * Makes the filters of a policy and logs them once. A result that an earlier process made under
 * another policy is dropped, since it would leave without these filters. Throws `bad-argument`,
 * naming the filter, where there is no such filter or it does not work on updates.
 */
export async function enforcePolicy({ policy, folder, log }: EnforceOptions): Promise<readonly Filter[]> {
  const { filters: choices = [], table = builtInFilters } = policy ?? {};
  const filters = siteFilters(choices, table);
  const before = await readState(folder, STATE, stateSchema);
  if (JSON.stringify(before?.filters ?? []) !== JSON.stringify(choices)) {
    await dropResult(folder);
    await writeText(folder, STATE, jsonText({ filters: choices }, STATE));
  }
  if (filters.length > 0) log.info({ filters: choices }, "every result passes the filters of the site's owner");
  return filters;
}
