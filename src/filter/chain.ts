// Filters as data: what a job says of the four points, the chains that it becomes, and what its coding makes of messages.
import { z } from 'zod';
import type { CodecTable } from '../codec/codec.js';
import { type Choice, choiceSchema, chosen, type Table } from '../core/row.js';
import { builtInFilters } from './built-in.js';
import type { Coding } from './coding.js';
import { FILTER_POINTS, type Filter, type FilterPoint } from './filter.js';
import { isLossy, lossyBits } from './policy.js';

/** A job's `filters`: for each point a list of choices from the table. */
export function filterSpecsSchema(filters: Table<Filter>) {
  return z.partialRecord(z.enum(FILTER_POINTS), z.array(choiceSchema(filters, 'filter')));
}

export interface FilterSettings {
  /** How messages are coded. */
  readonly quantize: Coding;
  /**
   * `false`: whole weights travel, both ways, whatever the coding; `true`: results are updates even where their coding loses
   * nothing.
   */
  readonly delta?: boolean;
  /** Further filters of the job's own: before the coding where a message leaves, after it where it is accepted. */
  readonly filters?: Partial<Record<FilterPoint, readonly Choice[]>>;
}

/** The job's own filters at a point. */
export function ownFilters({ filters = {} }: FilterSettings, point: FilterPoint, table: Table<Filter> = builtInFilters): Filter[] {
  return (filters[point] ?? []).map((choice) => chosen(table, choice));
}

/** Whether whole weights are coded, as in the paper. */
export function codesWhole({ quantize, delta }: FilterSettings): boolean {
  return quantize.whole === true || delta === false;
}

/**
 * Whether broadcasts are what the sites lack of the server's model: their error is that of an update, not that of a model, and
 * it is part of the next one. Filters of the job's own on the way to the sites keep broadcasts whole.
 */
export function broadcastsUpdates(settings: FilterSettings, codecs: CodecTable): boolean {
  const { filters = {}, quantize } = settings;
  const own = (filters['task-out'] ?? []).length + (filters['task-in'] ?? []).length;
  return isLossy(quantize.down, codecs) && !codesWhole(settings) && own === 0;
}

/** Whether results are what was trained less what was given. */
export function sendsUpdates(settings: FilterSettings, codecs: CodecTable): boolean {
  if (codesWhole(settings)) return false;
  return settings.delta ?? isLossy(settings.quantize.up, codecs);
}

/** Bits a value of the roughest code that whole weights are sent in; undefined where updates are sent, or nothing is lost. */
export function wholeBits(settings: FilterSettings, codecs: CodecTable): number | undefined {
  const { down, up } = settings.quantize;
  const whole = [...(broadcastsUpdates(settings, codecs) ? [] : [down]), ...(sendsUpdates(settings, codecs) ? [] : [up])];
  const lossy = whole.filter((policy) => isLossy(policy, codecs));
  return lossy.length === 0 ? undefined : Math.min(...lossy.map((policy) => lossyBits(policy, codecs)));
}
