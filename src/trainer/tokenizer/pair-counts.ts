// Counts of neighbouring parts of words, for the training of a BPE: a merge costs as much as the
// places that it changes, however long their words are.
import { byteWord } from './byte-level.js';
import { type Pair, PairHeap } from './pair-heap.js';

/** No neighbour; a part that was merged into the one before it. */
const NONE = -1;

/** All words, one behind the other, as parts that are linked with their neighbours in the same word. */
export class PairCounts {
  readonly #pairs = new Map<string, Pair>();
  readonly #heap = new PairHeap();
  /** The part at each position; undefined where it was merged into the one before. */
  readonly #parts: (string | undefined)[] = [];
  readonly #previous: Int32Array;
  readonly #next: Int32Array;
  /** How often the word at each position occurs. */
  readonly #weights: Float64Array;

  constructor(words: ReadonlyMap<string, number>) {
    const ends: [number, number][] = [];
    for (const [word, count] of words) {
      for (const character of byteWord(word)) this.#parts.push(character);
      ends.push([this.#parts.length, count]);
    }
    const { length } = this.#parts;
    this.#previous = Int32Array.from({ length }, (_, at) => at - 1);
    this.#next = Int32Array.from({ length }, (_, at) => at + 1);
    this.#weights = new Float64Array(length);
    let start = 0;
    for (const [end, count] of ends) {
      this.#weights.fill(count, start, end);
      if (end > start) {
        this.#previous[start] = NONE;
        this.#next[end - 1] = NONE;
      }
      start = end;
    }
    for (let at = 0; at < length; at++) this.#add(at);
    for (const pair of this.#pairs.values()) this.#heap.changed(pair);
  }

  /** The pair with the most occurrences, two at least; of several the first by code units. */
  best(): Pair | undefined {
    return this.#heap.best();
  }

  /** Makes one part of every occurrence of the pair, from left to right. */
  merge({ left, right, key, places }: Pair): void {
    const pair = this.#pairs.get(key) as Pair;
    pair.places = [];
    for (const at of places.sort((a, b) => a - b)) if (this.#parts[at] === left && this.#rightOf(at) === right) this.#mergeAt(at);
  }

  #mergeAt(at: number): void {
    const second = this.#next[at] as number;
    const before = this.#previous[at] as number;
    const after = this.#next[second] as number;
    if (before !== NONE) this.#remove(before);
    this.#remove(at);
    if (after !== NONE) this.#remove(second);
    this.#parts[at] = `${this.#parts[at]}${this.#parts[second]}`;
    this.#parts[second] = undefined;
    this.#next[at] = after;
    if (after !== NONE) this.#previous[after] = at;
    for (const place of before === NONE ? [at] : [before, at]) {
      const added = this.#add(place);
      if (added) this.#heap.changed(added);
    }
  }

  #rightOf(at: number): string | undefined {
    const next = this.#next[at] as number;
    return next === NONE ? undefined : this.#parts[next];
  }

  /** Counts the pair that begins at a position; undefined if there is none. */
  #add(at: number): Pair | undefined {
    const left = this.#parts[at] as string;
    const right = this.#rightOf(at);
    if (right === undefined) return undefined;
    const key = `${left}\u0000${right}`;
    const known = this.#pairs.get(key);
    const pair = known ?? { left, right, key, count: 0, places: [] };
    if (!known) this.#pairs.set(key, pair);
    pair.count += this.#weights[at] as number;
    pair.places.push(at);
    return pair;
  }

  #remove(at: number): void {
    const pair = this.#pairs.get(`${this.#parts[at]}\u0000${this.#rightOf(at)}`) as Pair;
    pair.count -= this.#weights[at] as number;
    this.#heap.changed(pair);
  }
}
