// The choice of Krum (Blanchard et al. 2017): the results that have the nearest neighbours.
import type { Square } from './distances.js';

/**
 * The indices of the `keep` results with the smallest scores, rising; of equal scores the earlier
 * one. A score is the sum of the squared distances to the `results − malicious − 2` nearest others,
 * and to one at least.
 */
export function krumChoice({ side, values }: Square, malicious: number, keep: number, among: readonly number[] = range(side)): number[] {
  const neighbours = Math.max(1, among.length - malicious - 2);
  const scores = among.map((index) => {
    const others = among.filter((other) => other !== index).map((other) => values[index * side + other] as number);
    return {
      index,
      score: others
        .sort((a, b) => a - b)
        .slice(0, neighbours)
        .reduce((sum, one) => sum + one, 0),
    };
  });
  scores.sort((a, b) => a.score - b.score || a.index - b.index);
  return scores
    .slice(0, keep)
    .map(({ index }) => index)
    .sort((a, b) => a - b);
}

/**
 * The `keep` results that Bulyan selects (El Mhamdi et al. 2018): Krum's choice, again and again,
 * among those that are left; rising.
 */
export function bulyanChoice(distances: Square, malicious: number, keep: number): number[] {
  const left = range(distances.side);
  const chosen: number[] = [];
  while (chosen.length < keep) {
    const [next] = krumChoice(distances, malicious, 1, left) as [number];
    chosen.push(next);
    left.splice(left.indexOf(next), 1);
  }
  return chosen.sort((a, b) => a - b);
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
