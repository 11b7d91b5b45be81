// Reads one large JSON object piece by piece: neither its text nor its values are ever there whole.
import { duplicateKey } from './duplicate-key.js';

/** Bytes of text that are parsed in one go: some milliseconds of work at most. */
const BATCH_BYTES = 64 * 1024;

/** The object to be read, and the receivers of what it has. */
export interface JsonMembersOptions {
  /** Names of members of the object whose own array or object is handed over in parts. */
  readonly spread: readonly string[];
  /** Levels of arrays and objects, the outermost counted; deeper text is refused. */
  readonly maxDepth: number;
  /** One of the object's members, in their order; the value of one that was spread is `SPREAD`. */
  onMember(name: string, value: unknown): void;
  /** Some items of an array that is spread, in their order. */
  onItems?(spread: string, items: readonly unknown[]): void;
  /** One member of an object that is spread. */
  onInner?(spread: string, name: string, value: unknown): void;
}

/** Stands for a value that was handed over in parts. */
export const SPREAD = Symbol('spread');

/** A name that an object has twice: `JSON.parse` takes the last of such values, others the first. */
export class DuplicateName extends Error {
  readonly key: string;

  constructor(key: string) {
    super(`${JSON.stringify(key)} is there twice`);
    this.key = key;
  }
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN: Readonly<Record<number, number>> = { 123: 0x7d, 91: 0x5d };
const OBJECT_OPEN = 0x7b;
const OBJECT_CLOSE = 0x7d;
const ARRAY_OPEN = 0x5b;
const ARRAY_CLOSE = 0x5d;

/**
 * Cuts the text at commas, and lets `JSON.parse` read what stands between two cuts as a list; of
 * members, as a list of names and values, since an object of thousands of names takes far longer.
 * Throws `DuplicateName`, or any other error where the text is no JSON object or what is spread has
 * no receiver. Takes time in proportion to the text.
 */
export class JsonMembers {
  readonly #options: JsonMembersOptions;
  readonly #names: readonly Uint8Array[];
  /** Text that was not parsed yet, from `#start` on; scanned up to `#at`. */
  #bytes = new Uint8Array(BATCH_BYTES);
  #filled = 0;
  #start = 0;
  #at = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** Bounds of the last text at the level of the members, which may be a name. */
  #textStart = 0;
  #textEnd = 0;
  /** Colons in the values since the last cut: as many as these have names. */
  #colons = 0;
  /** True between the colon of a member and the comma behind it. */
  #inValue = false;
  /** The spread member that is being read, with the members before it that were not parsed yet. */
  #part: { readonly name: string; readonly close: number; readonly before: string; readonly colons: number; cuts: number } | undefined;
  /** Members before the spread member that was read last, not parsed yet. */
  #before = '';
  #cuts = 0;
  #ended = false;
  readonly #seen = new Map<string, Set<string>>();
  readonly #spread = new Set<string>();

  constructor(options: JsonMembersOptions) {
    this.#options = options;
    this.#names = options.spread.map((name) => new TextEncoder().encode(name));
  }

  /** Takes the next bytes of the text, which are copied. */
  push(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length; from += BATCH_BYTES) {
      this.#append(bytes.subarray(from, from + BATCH_BYTES));
      this.#scan();
    }
  }

  /** Ends the text; throws where the object is not whole. */
  finish(): void {
    if (!this.#ended) throw new Error('it ends early');
  }

  #append(piece: Uint8Array): void {
    const kept = this.#filled - this.#start;
    if (this.#filled + piece.length > this.#bytes.length) {
      const room = kept + piece.length > this.#bytes.length ? new Uint8Array(2 * (kept + piece.length)) : this.#bytes;
      room.set(this.#bytes.subarray(this.#start, this.#filled));
      this.#bytes = room;
      this.#at -= this.#start;
      this.#textStart -= this.#start;
      this.#textEnd -= this.#start;
      this.#filled = kept;
      this.#start = 0;
    }
    this.#bytes.set(piece, this.#filled);
    this.#filled += piece.length;
  }

  #scan(): void {
    while (this.#at < this.#filled) {
      if (this.#inString) this.#skipString();
      else this.#take(this.#bytes[this.#at] as number);
    }
  }

  #skipString(): void {
    const bytes = this.#bytes;
    const end = this.#filled;
    let at = this.#at;
    for (; at < end; at++) {
      const byte = bytes[at];
      if (this.#escaped) this.#escaped = false;
      else if (byte === BACKSLASH) this.#escaped = true;
      else if (byte === QUOTE) {
        this.#inString = false;
        if (this.#depth === 1) this.#textEnd = at;
        at++;
        break;
      }
    }
    this.#at = at;
  }

  #take(byte: number): void {
    const at = this.#at++;
    if (this.#depth === 0 || this.#ended) this.#outside(byte);
    else if (byte === QUOTE) {
      this.#inString = true;
      if (this.#depth === 1) this.#textStart = at + 1;
    } else if (byte === COLON) this.#colon(at);
    else if (byte === OBJECT_OPEN || byte === ARRAY_OPEN) this.#open(byte, at);
    else if (byte === OBJECT_CLOSE || byte === ARRAY_CLOSE) this.#close(byte, at);
    else if (byte === COMMA && this.#isOutermost) this.#comma(at);
  }

  /** True at the level of the members or items that are being read. */
  get #isOutermost(): boolean {
    return this.#depth === (this.#part ? 2 : 1);
  }

  get #isList(): boolean {
    return this.#part?.close === ARRAY_CLOSE;
  }

  #colon(at: number): void {
    if (!this.#isOutermost) this.#colons++;
    else if (this.#isList || this.#inValue) throw new Error('a colon stands where none belongs');
    else {
      this.#inValue = true;
      this.#bytes[at] = COMMA; // names and values are read as one list
    }
  }

  #comma(at: number): void {
    if (!this.#isList) {
      if (!this.#inValue) throw new Error('a name has no value');
      this.#inValue = false;
    }
    if (at - this.#start >= BATCH_BYTES) this.#cut(at, true);
  }

  #outside(byte: number): void {
    if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) return;
    if (this.#ended) throw new Error('something follows the object');
    if (byte !== OBJECT_OPEN) throw new Error('it is not a JSON object');
    this.#depth = 1;
    this.#start = this.#at;
  }

  #open(byte: number, at: number): void {
    const name = this.#depth === 1 ? this.#spreadName() : undefined;
    if (++this.#depth > this.#options.maxDepth) throw new Error(`it is nested more than ${this.#options.maxDepth} deep`);
    if (name === undefined) return;
    const before = this.#before + this.#text(at);
    this.#spread.add(name);
    this.#part = { name, close: OPEN[byte] as number, before, colons: this.#colons, cuts: 0 };
    this.#colons = 0;
    this.#inValue = false;
    this.#start = at + 1;
  }

  /** The name before the array or object that begins, if it is one of those that are spread. */
  #spreadName(): string | undefined {
    const found = this.#names.findIndex(
      (name) => name.length === this.#textEnd - this.#textStart && name.every((byte, i) => byte === this.#bytes[this.#textStart + i]),
    );
    return found < 0 ? undefined : this.#options.spread[found];
  }

  #close(byte: number, at: number): void {
    this.#depth--;
    if (this.#part && this.#depth === 1) {
      if (byte !== this.#part.close) throw new Error('a bracket closes what it did not open');
      this.#cut(at, false);
      const { before, colons } = this.#part;
      this.#part = undefined;
      this.#before = `${before}null`;
      this.#colons = colons;
      this.#inValue = true;
      this.#textEnd = this.#textStart; // the name is used up
    } else if (this.#depth === 0) {
      if (byte !== OBJECT_CLOSE) throw new Error('a bracket closes what it did not open');
      this.#cut(at, false);
      this.#ended = true;
    }
  }

  /** Parses the text up to `at`; `more` is set where a comma says that something follows. */
  #cut(at: number, more: boolean): void {
    const part = this.#part;
    const text = (part ? '' : this.#before) + this.#text(at);
    const values = JSON.parse(`[${text}]`) as unknown[];
    const cuts = part ? part.cuts++ : this.#cuts++;
    if (values.length === 0 && (more || cuts > 0)) throw new Error('a comma stands alone');
    let names = 0;
    for (const value of values) names += namesIn(value);
    if (names !== this.#colons) throw new DuplicateName(duplicateKey(`[${text}]`) ?? '');
    this.#colons = 0;
    this.#start = at + 1;
    if (!part) this.#before = '';
    if (!this.#isList) this.#handMembers(values, part?.name);
    else if (this.#options.onItems) this.#options.onItems((part as { name: string }).name, values);
    else throw new Error('an array stands where an object belongs');
  }

  #handMembers(values: readonly unknown[], spread: string | undefined): void {
    const { onMember, onInner } = this.#options;
    if (values.length % 2 !== 0) throw new Error('a name has no value');
    if (spread !== undefined && !onInner) throw new Error('an object stands where an array belongs');
    const seen = this.#seen.get(spread ?? '') ?? new Set<string>();
    this.#seen.set(spread ?? '', seen);
    for (let i = 0; i < values.length; i += 2) {
      const [name, value] = [values[i], values[i + 1]];
      if (typeof name !== 'string') throw new Error('a name is no text');
      if (seen.has(name)) throw new DuplicateName(name);
      seen.add(name);
      if (spread === undefined) onMember(name, this.#spread.has(name) ? SPREAD : value);
      else onInner?.(spread, name, value);
    }
  }

  #text(end: number): string {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.#bytes.subarray(this.#start, end));
  }
}

/** The number of names in all objects of a value, whose depth is limited. */
function namesIn(value: unknown): number {
  if (value === null || typeof value !== 'object') return 0;
  let names = 0;
  if (Array.isArray(value)) for (const item of value) names += typeof item === 'object' ? namesIn(item) : 0;
  else
    for (const name in value) {
      const item = (value as Record<string, unknown>)[name];
      names += 1 + (item !== null && typeof item === 'object' ? namesIn(item) : 0);
    }
  return names;
}
