// Filters as data: the job's lists for the four points, and the kind of messages that a job's
// settings lead to.
import { z } from 'zod';
import type { CodecTable } from '../codec/codec.js';
import { type Choice, choiceSchema, chosen, type Table } from '../core/row.js';
import { factorOf } from '../tensor/lora-pairs.js';
import { builtInFilters } from './built-in.js';
import type { Coding } from './coding.js';
import { FILTER_POINTS, type Filter, type FilterPoint } from './filter.js';
import { isLossy, lossyBits } from './policy.js';

/** The schema of a job's `filters`: for each point, a list of choices from the table. */
export function filterSpecsSchema(filters: Table<Filter>) {
  return z.partialRecord(z.enum(FILTER_POINTS), z.array(choiceSchema(filters, 'filter')));
}

/** The settings of a job that determine its messages. */
export interface FilterSettings {
  /** The coding of messages. */
  readonly quantize: Coding;
  /**
   * `false`: whole weights travel both ways, whatever the coding. `true`: results are updates even
   * where their coding loses nothing.
   */
  readonly delta?: boolean;
  /**
   * Further filters of the job's own: before the coding of outgoing messages, after the decoding of
   * incoming ones.
   */
  readonly filters?: Partial<Record<FilterPoint, readonly Choice[]>> | undefined;
  /** How adapters are averaged: with `ffa`, A never changes after the start. */
  readonly lora?: { readonly type: string };
}

/** Tells which tensors never change in a run, so that they are sent once; undefined where all may. */
export function frozenIn({ lora }: FilterSettings): ((name: string) => boolean) | undefined {
  return lora?.type === 'ffa' ? (name) => factorOf(name) === 'A' : undefined;
}

/** The job's own filters at a point. */
export function ownFilters({ filters = {} }: FilterSettings, point: FilterPoint, table: Table<Filter> = builtInFilters): Filter[] {
  return (filters[point] ?? []).map((choice) => chosen(table, choice));
}

/** True where whole weights are coded, as in the paper. */
export function codesWhole({ quantize, delta }: FilterSettings): boolean {
  return quantize.whole === true || delta === false;
}

/**
 * True where broadcasts are updates, the difference between the server's model and the one that the
 * sites hold. Their coding error is then that of an update, and is made up for by the next one.
 * With filters of the job's own on the way to the sites, broadcasts stay whole. Where some tensors
 * never change, broadcasts are updates whatever the coding.
 */
export function broadcastsUpdates(settings: FilterSettings, codecs: CodecTable): boolean {
  const { filters = {}, quantize } = settings;
  const own = (filters['task-out'] ?? []).length + (filters['task-in'] ?? []).length;
  const saves = isLossy(quantize.down, codecs) || frozenIn(settings) !== undefined;
  return saves && !codesWhole(settings) && own === 0;
}

/** True where results are the trained model less the given one. */
export function sendsUpdates(settings: FilterSettings, codecs: CodecTable): boolean {
  if (codesWhole(settings)) return false;
  return settings.delta ?? isLossy(settings.quantize.up, codecs);
}

/**
 * Bits per value of the coarsest code in which whole weights are sent; undefined where updates are
 * sent, or coding loses nothing.
 */
export function wholeBits(settings: FilterSettings, codecs: CodecTable): number | undefined {
  const { down, up } = settings.quantize;
  const whole = [...(broadcastsUpdates(settings, codecs) ? [] : [down]), ...(sendsUpdates(settings, codecs) ? [] : [up])];
  const lossy = whole.filter((policy) => isLossy(policy, codecs));
  return lossy.length === 0 ? undefined : Math.min(...lossy.map((policy) => lossyBits(policy, codecs)));
}
