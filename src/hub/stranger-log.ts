// The log of refused strangers, in a bounded number of lines: what they send must not fill a disk.
import { BUDGETS } from '../core/budgets.js';
import type { ErrorCode } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import { addressOf } from '../driver/peer-address.js';

const WINDOW_MS = 10_000;
/** Addresses that are told apart; those beyond are counted together. */
const MAX_ADDRESSES = 1_000;
/** The part of a line that says what kind it is. */
const KIND_CHARACTERS = 300;
/** Kinds of lines that a count has an example of. */
const MAX_EXAMPLES = 5;
/** The kind of lines of an address that has sent too many kinds. */
const OTHER_KINDS = '';

/** Lines that differ in numbers alone. */
interface Kind {
  written: number;
  /** Lines that were not written, and the last one of them. */
  more: number;
  last: { readonly peer: string; readonly code: ErrorCode; readonly message: string };
}

const NOTHING: Kind = { written: 0, more: 0, last: { peer: '', code: 'refused', message: '' } };

/** Writes the first lines of every 10 s, and after them how many more there were. */
export class StrangerLog {
  readonly #log: Logger;
  readonly #strangers = new Map<string, Map<string, Kind>>();
  #written = 0;
  #others = 0;
  #isClosed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Takes a line about a peer without a name. */
  warn(peer: string, code: ErrorCode, message: string): void {
    if (!this.#isClosed) this.#timer ??= setTimeout(() => this.#endWindow(), WINDOW_MS);
    const kinds = this.#kindsOf(addressOf(peer));
    if (!kinds) {
      this.#others++;
      return;
    }
    const kind = this.#kindIn(kinds, message.replaceAll(peer, '').replaceAll(/\d+/g, '0').slice(0, KIND_CHARACTERS));
    kind.last = { peer, code, message };
    if (kind.written < BUDGETS.sameStrangerLines.limit && this.#written < BUDGETS.allStrangerLines.limit) {
      kind.written++;
      this.#written++;
      this.#log.warn({ peer, code }, message);
    } else kind.more++;
  }

  /** Writes the counts so far; they are not written any more for lines that still come. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#endWindow();
  }

  #kindsOf(address: string): Map<string, Kind> | undefined {
    const found = this.#strangers.get(address);
    if (found || this.#strangers.size >= MAX_ADDRESSES) return found;
    const made = new Map<string, Kind>();
    this.#strangers.set(address, made);
    return made;
  }

  #kindIn(kinds: Map<string, Kind>, text: string): Kind {
    const isFull = !kinds.has(text) && kinds.size >= BUDGETS.strangerLines.limit;
    const name = isFull ? OTHER_KINDS : text;
    const found = kinds.get(name);
    if (found) return found;
    // Lines of too many kinds are only counted.
    const written = isFull ? BUDGETS.sameStrangerLines.limit : 0;
    const made: Kind = { ...NOTHING, written };
    kinds.set(name, made);
    return made;
  }

  #endWindow(): void {
    this.#timer = undefined;
    this.#written = 0;
    for (const [address, kinds] of this.#strangers) {
      this.#summarize(
        address,
        [...kinds.values()].filter(({ more }) => more > 0),
      );
      for (const [name, kind] of kinds) {
        if (kind.more === 0) kinds.delete(name);
        // A kind that goes on is summarized every 10 s, and has no lines of its own any more.
        else kind.written = BUDGETS.sameStrangerLines.limit;
        kind.more = 0;
      }
      if (kinds.size === 0) this.#strangers.delete(address);
    }
    if (this.#others > 0) this.#log.warn({ more: this.#others }, `… and ${this.#others} more from other addresses in the last 10 s`);
    this.#others = 0;
    if (this.#strangers.size > 0 && !this.#isClosed) this.#timer = setTimeout(() => this.#endWindow(), WINDOW_MS);
  }

  #summarize(address: string, kinds: readonly Kind[]): void {
    const more = kinds.reduce((sum, kind) => sum + kind.more, 0);
    const [{ last } = NOTHING] = kinds;
    if (more === 0) return;
    if (this.#written >= BUDGETS.allStrangerLines.limit) this.#others += more;
    else if (more === 1) this.#log.warn({ peer: last.peer, code: last.code }, last.message);
    else {
      const examples = kinds.slice(0, MAX_EXAMPLES).map((kind) => kind.last.message);
      this.#log.warn({ address, more }, `… and ${more} more from ${address} in the last 10 s, such as: ${examples.join(' | ')}`);
    }
    this.#written++;
  }
}
