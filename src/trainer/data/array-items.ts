// Cuts a JSON array into its items line by line, so that an error can name the item.
import { FedStreamError } from '../../core/errors.js';

/** One item of the array, still as text. */
export interface ArrayItem {
  readonly text: string;
  /** The line that the item begins in, from 1. */
  readonly line: number;
  /** The item's place in the array, from 1. */
  readonly number: number;
}

/** Limit of an item: far above any sample, and within the length of a string. */
const MAX_ITEM_CHARACTERS = 256 * 1024 * 1024;
const OUTSIDE = /["[\]{},]/g;
const INSIDE = /["\\]/g;

/** Knows only strings and brackets; the parser of an item decides if it is JSON. */
export class ArrayItems {
  readonly #source: string;
  #state: 'before' | 'inside' | 'after' = 'before';
  #depth = 0;
  #line = 0;
  #count = 0;
  #pieces: string[] = [];
  #characters = 0;
  #itemLine = 0;

  constructor(source: string) {
    this.#source = source;
  }

  /**
   * Takes the next line, without its line feed; returns the items that end in it. Throws
   * `bad-data`.
   */
  push(line: string): ArrayItem[] {
    this.#line++;
    const items: ArrayItem[] = [];
    let from = 0;
    if (this.#state === 'before') {
      from = line.indexOf('[') + 1;
      if (from === 0) return items;
      this.#state = 'inside';
    }
    for (let at = from; this.#state === 'inside'; ) {
      OUTSIDE.lastIndex = at;
      const found = OUTSIDE.exec(line);
      if (!found) break;
      at = found.index + 1;
      const character = found[0];
      if (character === '"') at = this.#stringEnd(line, at);
      else if (character === '{' || character === '[') this.#depth++;
      else if (this.#depth > 0) this.#depth -= character === ',' ? 0 : 1;
      else {
        this.#take(line.slice(from, found.index));
        from = at;
        const item = this.#finish(character);
        if (item) items.push(item);
      }
    }
    if (this.#state === 'inside') this.#take(`${line.slice(from)}\n`);
    else if (line.slice(from).trim() !== '') throw this.#bad('there is text after the end of the array');
    return items;
  }

  /** Call after the last line; throws `bad-data` if the array is still open. */
  end(): void {
    if (this.#state !== 'inside') return;
    const open = this.#isBlank() ? '' : `; item ${this.#count + 1}, which begins on line ${this.#itemLine}, is still open`;
    throw new FedStreamError('bad-data', `${this.#source}: the array does not end: the last ] is missing${open}`);
  }

  #take(piece: string): void {
    const blank = this.#isBlank();
    if (blank && piece.trim() === '') return;
    if (blank) this.#itemLine = this.#line;
    this.#characters += piece.length;
    if (this.#characters > MAX_ITEM_CHARACTERS)
      throw new FedStreamError(
        'limit',
        `${this.#source} line ${this.#itemLine}: item ${this.#count + 1} is longer than ${MAX_ITEM_CHARACTERS} characters`,
      );
    this.#pieces.push(piece);
  }

  /** Ends an item, at a comma or at the closing bracket of the array itself. */
  #finish(character: string): ArrayItem | undefined {
    if (character === ']') this.#state = 'after';
    if (character === '}') throw this.#bad('a } closes nothing');
    if (this.#isBlank()) {
      if (character === ']' && this.#count === 0) return undefined;
      throw this.#bad(`an item is missing before ${character}`);
    }
    const item = { text: this.#pieces.join(''), line: this.#itemLine, number: ++this.#count };
    this.#pieces = [];
    this.#characters = 0;
    return item;
  }

  #stringEnd(line: string, start: number): number {
    for (let at = start; ; ) {
      INSIDE.lastIndex = at;
      const found = INSIDE.exec(line);
      if (!found) throw this.#bad('a string does not end on its line; write a line break within a string as \\n');
      at = found.index + 1;
      if (found[0] === '"') return at;
      at++;
    }
  }

  #isBlank(): boolean {
    return this.#pieces.length === 0;
  }

  #bad(what: string): FedStreamError {
    return new FedStreamError('bad-data', `${this.#source} line ${this.#line}: not JSON: ${what}`);
  }
}
