// The statistics of an arm: paired differences of ln(final loss) against fp32, an interval, and
// three tests with Holm's correction.
import { equivalencePower, tQuantile, tTail } from './student.mjs';

/** An arm counts as equal to fp32 if its loss is within one per cent. */
export const MARGIN = Math.log(1.01);
const LEVEL = 0.05;

/**
 * Count, mean, deviation, 95 % interval and the p value of each test, from paired differences; a
 * single pair gives only count and mean.
 */
export function pairedTests(differences, margin = MARGIN) {
  const count = differences.length;
  const mean = differences.reduce((sum, one) => sum + one, 0) / count;
  if (count < 2) return { count, mean };
  const deviation = Math.sqrt(differences.reduce((sum, one) => sum + (one - mean) ** 2, 0) / (count - 1));
  const standardError = deviation / Math.sqrt(count);
  const freedom = count - 1;
  const half = tQuantile(1 - LEVEL / 2, freedom) * standardError;
  // Differences that are all equal have no standard error.
  const above = (bound) => (standardError > 0 ? tTail((mean - bound) / standardError, freedom) : mean > bound ? 0 : 1);
  const below = (bound) => (standardError > 0 ? tTail((bound - mean) / standardError, freedom) : mean < bound ? 0 : 1);
  return {
    count,
    mean,
    deviation,
    interval: [mean - half, mean + half],
    /** Null hypothesis: there is no difference. */
    difference: Math.min(1, 2 * Math.min(above(0), below(0))),
    /** Null hypothesis: the difference is beyond the margin, either way (two one-sided tests). */
    equivalence: Math.max(above(-margin), below(margin)),
    /** Null hypothesis: the arm is worse by the margin or more. */
    nonInferiority: below(margin),
  };
}

/** Holm 1979: p values, corrected for being tested together; in the order given. */
export function holm(values) {
  const order = values.map((value, index) => ({ value, index })).sort((a, b) => a.value - b.value);
  const adjusted = [];
  let highest = 0;
  for (const [rank, { value, index }] of order.entries()) {
    highest = Math.max(highest, Math.min(1, (values.length - rank) * value));
    adjusted[index] = highest;
  }
  return adjusted;
}

/**
 * Compares every arm with `baseline`, over the seeds that both have: `rows` are {arm, seed, value},
 * with the logarithm of the final loss as value. The p values are corrected by Holm over the arms.
 */
export function compareArms(rows, baseline = 'fp32') {
  const bySeed = new Map(rows.filter(({ arm }) => arm === baseline).map(({ seed, value }) => [seed, value]));
  const arms = [...new Set(rows.map(({ arm }) => arm))].filter((arm) => arm !== baseline);
  const compared = arms.flatMap((arm) => {
    const differences = rows.filter((row) => row.arm === arm && bySeed.has(row.seed)).map(({ seed, value }) => value - bySeed.get(seed));
    return differences.length > 0 ? [{ arm, ...pairedTests(differences) }] : [];
  });
  const tested = compared.filter(({ count }) => count > 1);
  for (const test of ['difference', 'equivalence', 'nonInferiority']) {
    const adjusted = holm(tested.map((one) => one[test]));
    for (const [index, one] of tested.entries()) one[test] = adjusted[index];
  }
  return compared.map((one) => ({ ...one, verdict: verdict(one) }));
}

/** The conclusion about an arm in words, from corrected p values. */
export function verdict({ count, mean, difference, equivalence, nonInferiority }) {
  if (count < 2) return 'one pair: no test';
  const differs = difference < LEVEL;
  if (equivalence < LEVEL && differs) return `within 1 % of fp32; a little ${mean > 0 ? 'worse' : 'better'}, significantly`;
  if (equivalence < LEVEL) return 'within 1 % of fp32; no significant difference';
  if (differs && mean < 0) return 'better than fp32, significantly';
  if (nonInferiority < LEVEL)
    return differs ? 'worse than fp32, significantly, by less than 1 %' : 'not worse by 1 %; no significant difference';
  if (differs) return '**worse than fp32, significantly**';
  return 'undecided: neither a difference nor equivalence is significant';
}

/** The power of the equivalence test for an arm that is equal and scatters like the floor arm. */
export function powerAt(deviation, count, margin = MARGIN) {
  return equivalencePower({ count, deviation, margin, level: LEVEL });
}
