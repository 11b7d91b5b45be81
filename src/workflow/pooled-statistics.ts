// Statistics of several sites taken together: sums of counts, over ranges that all sites can tell
// apart.
import { BUDGETS } from '../core/budgets.js';
import type { Lengths, Statistics } from '../trainer/statistics.js';

/** The statistics of all samples; undefined where no site has told of any. */
export function pooled(all: readonly Statistics[]): Statistics | undefined {
  const told = all.filter(({ samples }) => samples > 0);
  if (told.length === 0) return undefined;
  const characters = lengthsOf(told.flatMap((one) => one.characters ?? []));
  const tokens = lengthsOf(told.flatMap((one) => one.tokens ?? []));
  const categories = told.flatMap((one) => one.categories ?? []);
  const bins = added(categories.flatMap((one) => one.bins.map(({ name, count }) => [name, count] as const)));
  const vocabulary = added(told.flatMap((one) => (one.vocabulary ?? []).map(({ id, count }) => [id, count] as const)));
  const kept = bins.slice(0, BUDGETS.statisticsBins.limit);
  const left = bins.slice(kept.length).reduce((sum, [, count]) => sum + count, 0);
  const other = categories.reduce((sum, one) => sum + one.other, left);
  return {
    leastCount: Math.min(...told.map(({ leastCount }) => leastCount)),
    samples: told.reduce((sum, { samples }) => sum + samples, 0),
    ...(characters && { characters }),
    ...(tokens && { tokens }),
    ...(categories.length > 0 && { categories: { bins: kept.map(([name, count]) => ({ name, count })), other } }),
    ...(vocabulary.length > 0 && { vocabulary: vocabulary.slice(0, BUDGETS.statisticsBins.limit).map(([id, count]) => ({ id, count })) }),
  };
}

/**
 * Lengths together. Sites merge small bins each in its own way, so a border counts only where no
 * site's range goes across it.
 */
function lengthsOf(all: readonly Lengths[]): Lengths | undefined {
  if (all.length === 0) return undefined;
  const ranges = all.flatMap(({ bins }) => bins).sort((a, b) => a.from - b.from || a.to - b.to);
  const bins: { from: number; to: number; count: number }[] = [];
  for (const { from, to, count } of ranges) {
    const last = bins.at(-1);
    if (last && from < last.to) bins.splice(-1, 1, { from: last.from, to: Math.max(last.to, to), count: last.count + count });
    else bins.push({ from, to, count });
  }
  const sumOf = (part: (one: Lengths) => number): number => all.reduce((sum, one) => sum + part(one), 0);
  return { count: sumOf((one) => one.count), sum: sumOf((one) => one.sum), sumOfSquares: sumOf((one) => one.sumOfSquares), bins };
}

function added<Key extends string | number>(entries: readonly (readonly [Key, number])[]): [Key, number][] {
  const counts = new Map<Key, number>();
  for (const [key, count] of entries) counts.set(key, (counts.get(key) ?? 0) + count);
  return [...counts].sort(([a, of], [b, other]) => other - of || (a < b ? -1 : 1));
}
