// The policy of a site's owner, which no job can switch off: filters on every result, limits on what
// a job may ask for, and what is shared beside updates.

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
import { checkedLimits, type ResolvedLimits, resolvedLimits, type SiteLimits } from './limits.js';
import { DEFAULT_SHARE, type SiteShare } from './share.js';

/** The rules of a site's owner. */
export interface SitePolicy {
  /** The filters in the order of application; each works on updates, or on either subject. */
  readonly filters: readonly Choice[];
  /** The limits on what a job may ask for; `DEFAULT_LIMITS` for each that is not given. */
  readonly limits?: SiteLimits | undefined;
  /** What leaves beside updates; by default codes of errors, steps and the metrics of the trainer. */
  readonly share?: SiteShare | undefined;
  /** The table that the filters are chosen from; the built-in ones by default. */
  readonly table?: Table<Filter>;
}

/** The file that records under which choices the results in the site's folder were made. */
const STATE = 'policy.json';
const stateSchema = z.strictObject({ filters: z.array(z.unknown()), limits: z.unknown().optional() });

/** Options of `enforcePolicy`. */
export interface EnforceOptions {
  readonly policy: SitePolicy | undefined;
  /** The folder of the site's run. */
  readonly folder: Folder;
  readonly log: Logger;
}

/**
 * Makes the filters of a policy and logs them once. A result that an earlier process made under
 * other filters or limits is dropped, since it would leave without them. Throws `bad-argument`,
 * naming the filter, where there is no such filter or it does not work on updates.
 */
export async function enforcePolicy({ policy, folder, log }: EnforceOptions): Promise<readonly Filter[]> {
  const { filters: choices = [], table = builtInFilters, limits = {} } = policy ?? {};
  const filters = siteFilters(choices, table);
  const before = await readState(folder, STATE, stateSchema);
  const state = { filters: choices, ...(Object.keys(limits).length > 0 && { limits }) };
  if (JSON.stringify(before ?? { filters: [] }) !== JSON.stringify(state)) {
    await dropResult(folder);
    await writeText(folder, STATE, jsonText(state, STATE));
  }
  if (filters.length > 0) log.info({ filters: choices }, "every result passes the filters of the site's owner");
  return filters;
}

/** Throws as `enforced` does, before anything is known of a run. */
export function checkPolicy({ filters = [], table = builtInFilters, limits }: Partial<SitePolicy> = {}): void {
  siteFilters(filters, table);
  checkedLimits(limits);
}

/** A policy in force. */
export interface Enforced {
  readonly filters: readonly Filter[];
  readonly limits: ResolvedLimits;
  /** True where the owner wrote this limit: it then holds for the figures of any trainer. */
  stated(name: keyof SiteLimits): boolean;
  readonly share: SiteShare;
}

/**
 * Puts a policy in force, with the defaults of what it leaves open. Throws as `enforcePolicy` does,
 * and `bad-argument` for a limit that is none.
 */
export async function enforced(options: EnforceOptions): Promise<Enforced> {
  const { limits, share = DEFAULT_SHARE } = options.policy ?? {};
  const given = checkedLimits(limits);
  return { filters: await enforcePolicy(options), limits: resolvedLimits(given), stated: (name) => given[name] !== undefined, share };
}
