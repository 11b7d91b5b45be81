// Things that strangers take up, counted by address: whoever has the most gives way.

/** The most things in all, and of one address, and which of them go first. */
export interface ShareLimits<T> {
  readonly most: number;
  readonly mostOfAddress: number;
  /**
   * Things younger than this stay: a new one gives way to them. So peers that all come at once do
   * not push each other out before any of them is done. 0 by default.
   */
  readonly youngMs?: number;
  /** True for a thing that goes before the older ones of its address; by default none is. */
  goesFirst?(item: T): boolean;
}

/** Things by address, each address's oldest first. */
export class FairShare<T> {
  readonly #limits: ShareLimits<T>;
  readonly #byAddress = new Map<string, Map<T, number>>();
  #size = 0;

  constructor(limits: ShareLimits<T>) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#size;
  }

  /** The number of things of an address. */
  sizeOf(address: string): number {
    return this.#byAddress.get(address)?.size ?? 0;
  }

  /** Every thing, with its address. */
  *[Symbol.iterator](): Iterator<[address: string, item: T]> {
    for (const [address, items] of this.#byAddress) for (const item of items.keys()) yield [address, item];
  }

  /** Counts a thing as the newest of its address, without a look at the limits. */
  add(address: string, item: T): void {
    this.delete(address, item);
    const items = this.#byAddress.get(address) ?? new Map<T, number>();
    this.#byAddress.set(address, items);
    items.set(item, performance.now());
    this.#size++;
  }

  delete(address: string, item: T): boolean {
    const items = this.#byAddress.get(address);
    if (!items?.delete(item)) return false;
    if (items.size === 0) this.#byAddress.delete(address);
    this.#size--;
    return true;
  }

  /**
   * The thing that must go before one more of this address fits: undefined if nothing must, and
   * `new` if it is the new one itself.
   */
  victimOf(address: string): T | 'new' | undefined {
    const { most, mostOfAddress } = this.#limits;
    if (this.sizeOf(address) >= mostOfAddress) return this.#firstOf(address, false) ?? 'new';
    return this.#size >= most ? this.greediest(address) : undefined;
  }

  /**
   * The first thing to go of the address that has the most, counting the new one; `new` where all are
   * young and this address has no less than any. Undefined where there is nothing. With `force` the
   * young ones must go, too.
   */
  greediest(address: string, force = false): T | 'new' | undefined {
    if (this.#size === 0) return undefined;
    const own = this.sizeOf(address) + 1;
    let greedy = address;
    let count = own;
    for (const [other, items] of this.#byAddress) {
      if (other === address || items.size < count || (items.size === count && greedy !== address)) continue;
      greedy = other;
      count = items.size;
    }
    const victim = this.#firstOf(greedy, force);
    return victim ?? (count > own ? [...(this.#byAddress.get(greedy)?.keys() ?? [])].at(-1) : undefined) ?? 'new';
  }

  /** The thing of an address that goes first: undefined if all are young, except with `force`. */
  #firstOf(address: string, force: boolean): T | undefined {
    const { youngMs = 0, goesFirst } = this.#limits;
    const nowMs = performance.now();
    let oldest: T | undefined;
    for (const [item, sinceMs] of this.#byAddress.get(address) ?? []) {
      if (!force && nowMs - sinceMs < youngMs) break;
      oldest ??= item;
      if (goesFirst?.(item) ?? true) return item;
    }
    return oldest;
  }
}
