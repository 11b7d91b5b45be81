// Reads CSV and TSV line by line (RFC 4180): the first record names the columns.
import { FedStreamError } from '../../core/errors.js';

/** One record as an object of its columns; cells without text are left out. */
export interface TableRow {
  readonly value: Readonly<Record<string, string>>;
  /** The line that the record begins in, from 1. */
  readonly line: number;
  /** The record's fault, if it has one: more or fewer cells than there are columns. */
  readonly fault?: string;
}

const DELIMITERS = [',', '\t', ';'] as const;
/** Limit of a record: as that of an item in a JSON array. */
const MAX_RECORD_CHARACTERS = 256 * 1024 * 1024;

/** Takes the lines of a table; a quoted cell may have line feeds in it. */
export class TableRows {
  readonly #source: string;
  readonly #delimiter: string;
  readonly #columns: readonly string[];
  #line: number;
  /** The lines of a record with an open cell. */
  #pieces: string[] = [];
  #characters = 0;
  #openLine = 0;

  /** The columns are those of `header`, which is line `line` of the file. */
  constructor(header: string, line: number, source: string) {
    this.#source = source;
    this.#line = line;
    this.#delimiter = delimiterOf(header);
    this.#columns = (cellsOf(header, this.#delimiter) ?? []).map((name) => name.trim());
  }

  get columns(): readonly string[] {
    return this.#columns;
  }

  /** Takes the next line, without its line feed; returns the record that ends in it. */
  push(line: string): TableRow | undefined {
    this.#line++;
    const wasOpen = this.#pieces.length > 0;
    if (wasOpen) this.#characters += 1 + line.length;
    else {
      if (line.trim() === '') return undefined;
      this.#openLine = this.#line;
      this.#characters = line.length;
    }
    if (this.#characters > MAX_RECORD_CHARACTERS)
      throw new FedStreamError(
        'limit',
        `${this.#source} line ${this.#openLine}: a record is longer than ${MAX_RECORD_CHARACTERS} characters`,
      );
    this.#pieces.push(line);
    // A record is open while the number of its quotes is odd, whatever stands between them.
    if (wasOpen !== hasOddQuotes(line)) return undefined;
    const text = this.#pieces.join('\n');
    this.#pieces = [];
    const cells = cellsOf(text, this.#delimiter);
    if (!cells) return { value: {}, line: this.#openLine, fault: 'a quote stands within a cell; write it twice, and the cell in quotes' };
    const { length } = this.#columns;
    if (cells.length !== length) return { value: {}, line: this.#openLine, fault: `${cells.length} cells for ${length} columns` };
    const pairs = this.#columns.map((name, index) => [name, cells[index] as string] as const);
    return { value: Object.fromEntries(pairs.filter(([, cell]) => cell !== '')), line: this.#openLine };
  }

  /** Call after the last line; throws `bad-data` for a cell whose quote is still open. */
  end(): void {
    if (this.#pieces.length > 0)
      throw new FedStreamError('bad-data', `${this.#source} line ${this.#openLine}: a quoted cell does not end; is a quote missing?`);
  }
}

function hasOddQuotes(line: string): boolean {
  let odd = false;
  for (let at = line.indexOf('"'); at >= 0; at = line.indexOf('"', at + 1)) odd = !odd;
  return odd;
}

function delimiterOf(header: string): string {
  const count = (delimiter: string): number => header.split(delimiter).length;
  return DELIMITERS.reduce<string>((best, delimiter) => (count(delimiter) > count(best) ? delimiter : best), ',');
}

/** The cells of a record; undefined where a quote stands in a cell that is not quoted. */
function cellsOf(record: string, delimiter: string): string[] | undefined {
  const text = record.endsWith('\r') ? record.slice(0, -1) : record;
  const cells: string[] = [];
  for (let at = 0; at <= text.length; ) {
    if (text[at] === '"') {
      let end = text.indexOf('"', at + 1);
      while (end >= 0 && text[end + 1] === '"') end = text.indexOf('"', end + 2);
      if (end < 0) return undefined;
      cells.push(text.slice(at + 1, end).replaceAll('""', '"'));
      at = end + 1;
      if (at < text.length && text[at] !== delimiter) return undefined;
    } else {
      const found = text.indexOf(delimiter, at);
      const end = found < 0 ? text.length : found;
      const cell = text.slice(at, end);
      cells.push(cell);
      at = end;
    }
    at++;
  }
  return cells;
}
