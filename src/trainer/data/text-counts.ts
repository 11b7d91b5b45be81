// Counts of text data in one pass, and the statistics that are made of them: small bins are merged
// here, at the site, before anything leaves it.
import { BUDGETS } from '../../core/budgets.js';
import { visible } from '../../core/visible.js';
import type { Example } from '../example.js';
import { type Lengths, MOST_NAME, MOST_POWER, type Statistics, type StatisticsWish } from '../statistics.js';

/** Categories that are told apart; samples of further ones count as `other`. */
const MOST_CATEGORIES = 10_000;

/** A sample, as far as it is counted. */
interface Counted {
  readonly prompt: string;
  readonly answer: string;
  readonly category?: string | undefined;
}

/** Lengths counted by powers of two: bin 0 is of length 0, bin i of 2^(i−1) to below 2^i. */
class LengthCounts {
  readonly #bins = new Float64Array(MOST_POWER + 1);
  #count = 0;
  #sum = 0;
  #squares = 0;

  add(length: number): void {
    this.#count++;
    this.#sum += length;
    this.#squares += length * length;
    const bin = length === 0 ? 0 : Math.min(MOST_POWER, Math.floor(Math.log2(length)) + 1);
    this.#bins[bin] = (this.#bins[bin] as number) + 1;
  }

  /** The lengths, in ranges of at least so many samples; undefined where there are fewer in all. */
  lengths(leastCount: number): Lengths | undefined {
    if (this.#count === 0 || this.#count < leastCount) return undefined;
    const bins: { from: number; to: number; count: number }[] = [];
    let open: { from: number; to: number; count: number } | undefined;
    for (const [bin, count] of this.#bins.entries()) {
      if (count === 0 && !open) continue;
      open = { from: open?.from ?? lowest(bin), to: 2 ** bin, count: (open?.count ?? 0) + count };
      if (open.count < leastCount) continue;
      bins.push(open);
      open = undefined;
    }
    // Too few are left over: they belong to the last range.
    const last = bins.at(-1);
    if (open && open.count > 0 && last) bins.splice(-1, 1, { from: last.from, to: lastTo(this.#bins), count: last.count + open.count });
    return { count: this.#count, sum: this.#sum, sumOfSquares: this.#squares, bins };
  }
}

function lowest(bin: number): number {
  return bin === 0 ? 0 : 2 ** (bin - 1);
}

/** The end of the last bin that has samples. */
function lastTo(bins: Float64Array): number {
  return 2 ** bins.findLastIndex((count) => count > 0);
}

/** Counts of texts; their memory does not grow with the number of samples. */
export class TextCounts {
  readonly #characters = new LengthCounts();
  readonly #categories = new Map<string, number>();
  #others = 0;
  #samples = 0;

  add({ prompt, answer, category }: Counted): void {
    this.#samples++;
    this.#characters.add(codePoints(prompt) + codePoints(answer));
    if (category === undefined) return;
    const name = [...visible(category)].slice(0, MOST_NAME / 2).join('');
    const known = this.#categories.get(name);
    if (known === undefined && (this.#categories.size >= MOST_CATEGORIES || name === '' || name === '__proto__')) this.#others++;
    else this.#categories.set(name, (known ?? 0) + 1);
  }

  /** The statistics of the texts, and of their tokens where there are any. */
  statistics({ leastCount, tokens, categories }: StatisticsWish, examples: readonly Example[]): Statistics {
    // Fewer samples than a bin may have: not even their number leaves.
    if (this.#samples < leastCount) return { leastCount, samples: 0 };
    const byToken = tokensOf(examples, leastCount, tokens);
    const characters = this.#characters.lengths(leastCount);
    return {
      leastCount,
      samples: this.#samples,
      ...(characters && { characters }),
      ...(byToken.lengths && { tokens: byToken.lengths }),
      ...(categories && this.#categories.size > 0 && { categories: this.#byCategory(leastCount) }),
      ...(tokens > 0 && byToken.vocabulary.length > 0 && { vocabulary: byToken.vocabulary }),
    };
  }

  #byCategory(leastCount: number): NonNullable<Statistics['categories']> {
    const falling = byCount([...this.#categories]);
    const bins = falling.filter(([, count]) => count >= leastCount).slice(0, BUDGETS.statisticsBins.limit);
    const told = (): number => bins.reduce((sum, [, count]) => sum + count, 0);
    const all = falling.reduce((sum, [, count]) => sum + count, this.#others);
    // The rest is told as a difference in any case, so it must not be a few samples either.
    while (all > told() && all - told() < leastCount && bins.length > 0) bins.pop();
    return { bins: bins.map(([name, count]) => ({ name, count })), other: all - told() };
  }
}

function tokensOf(examples: readonly Example[], leastCount: number, most: number) {
  const lengths = new LengthCounts();
  const samplesWith = new Map<number, number>();
  for (const { tokens } of examples) {
    lengths.add(tokens.length);
    if (most > 0) for (const id of new Set(tokens)) samplesWith.set(id, (samplesWith.get(id) ?? 0) + 1);
  }
  const kept = byCount([...samplesWith].filter(([, count]) => count >= leastCount)).slice(0, Math.min(most, BUDGETS.statisticsBins.limit));
  return { lengths: lengths.lengths(leastCount), vocabulary: kept.map(([id, count]) => ({ id, count })) };
}

/** The largest count first; of two equal ones the smaller key, so that the order tells nothing else. */
function byCount<Key extends string | number>(entries: [Key, number][]): [Key, number][] {
  return entries.sort(([a, of], [b, other]) => other - of || (a < b ? -1 : 1));
}

function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}
