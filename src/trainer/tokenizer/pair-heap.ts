// A heap of pairs whose counts change: the largest count first, ties by code units.
/** A pair of neighbouring parts. */
export interface Pair {
  readonly left: string;
  readonly right: string;
  /** Both with a NUL between them, by whose code units ties are decided. */
  readonly key: string;
  /** Occurrences, weighted by the number of times that each word occurs. */
  count: number;
  /** Places where the pair stands, or has stood: the position of its left part. */
  places: number[];
}

interface Entry {
  readonly pair: Pair;
  /** The count for which the entry stands in its place; the pair's own may be smaller by now. */
  readonly count: number;
}

/**
 * Entries are corrected when they come to the top, so a count that changes often costs one entry a
 * growth at most.
 */
export class PairHeap {
  readonly #entries: Entry[] = [];
  /** The largest count for which the pair has an entry. */
  readonly #noted = new Map<Pair, number>();

  /** Tells of a pair whose count is another now. */
  changed(pair: Pair): void {
    if (pair.count < 2 || pair.count <= (this.#noted.get(pair) ?? 0)) return;
    this.#noted.set(pair, pair.count);
    this.#push({ pair, count: pair.count });
  }

  /** The pair with the largest count, at least 2; undefined if there is none. It stays. */
  best(): Pair | undefined {
    for (let top = this.#entries[0]; top; top = this.#entries[0]) {
      const { pair, count } = top;
      if (count === pair.count) return pair;
      this.#pop();
      if (this.#noted.get(pair) !== count) continue; // an entry from when the count was smaller
      this.#noted.delete(pair);
      this.changed(pair);
    }
    return undefined;
  }

  #push(entry: Entry): void {
    const entries = this.#entries;
    let at = entries.length;
    entries.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(entry, entries[parent] as Entry)) break;
      entries[at] = entries[parent] as Entry;
      at = parent;
    }
    entries[at] = entry;
  }

  #pop(): void {
    const entries = this.#entries;
    const last = entries.pop() as Entry;
    if (entries.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= entries.length) break;
      if (child + 1 < entries.length && before(entries[child + 1] as Entry, entries[child] as Entry)) child++;
      if (!before(entries[child] as Entry, last)) break;
      entries[at] = entries[child] as Entry;
      at = child;
    }
    entries[at] = last;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.count !== b.count ? a.count > b.count : a.pair.key < b.pair.key;
}
