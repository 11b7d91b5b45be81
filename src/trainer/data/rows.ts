// Cuts the text of a data file into its rows: JSON lines, a JSON array, an object with a list in
// it, or a table.
import { FedStreamError } from '../../core/errors.js';
import { ArrayItems } from './array-items.js';
import { columnsWithin, listWithin } from './object-rows.js';
import { TableRows } from './table-rows.js';

/** One row: its place in the file for messages, and its text or value. */
export interface Row {
  readonly where: string;
  /** JSON that is not parsed yet. */
  readonly text?: string;
  /** The parsed value, where the text is no JSON of its own. */
  readonly value?: unknown;
  /** A fault that only this row has. */
  readonly fault?: string;
  /** Stands behind the error of a row that is not JSON. */
  readonly hint?: string;
}

type TextRow = Row & { readonly text: string };

/** The most characters of an object that is read as a whole. */
const MAX_OBJECT_CHARACTERS = 256 * 1024 * 1024;
const ONE_A_LINE = ' (a file that does not begin with [ has a whole sample on every line)';

/** How far an object is a sample itself: it is one, it has the fields of one, or neither. */
export type SampleLikeness = (value: object) => 'sample' | 'shape' | 'none';

/**
 * Yields rows as lines arrive; the first line that is not blank decides how they are cut. An error
 * of the whole file is thrown as `bad-data`; one of a row comes with the row.
 */
export async function* readRows(
  lines: AsyncIterable<string> | Iterable<string>,
  source: string,
  likenessOf: SampleLikeness,
): AsyncGenerator<Row> {
  let rows: Cut | undefined;
  let number = 0;
  for await (const line of lines) {
    number++;
    const content = number === 1 ? line.replace(/^\uFEFF/, '') : line;
    if (!rows) {
      if (content.trim() === '') continue;
      rows = cutOf(content, number, source, likenessOf);
    }
    yield* rows.push(content);
  }
  if (rows) yield* rows.end();
}

/** One way of cutting. */
interface Cut {
  push(line: string): Iterable<Row>;
  end(): Iterable<Row>;
}

function cutOf(first: string, number: number, source: string, likenessOf: SampleLikeness): Cut {
  const text = first.trim();
  if (text.startsWith('[')) return new Items(number, source);
  if (text.startsWith('{'))
    return /[{[,]$/.test(text) && !isJson(text) ? new Objects(number, source, likenessOf) : new Lines(number, source, likenessOf);
  if (/^["\d\-tfn]/.test(text) && isJson(text)) return new Lines(number, source, likenessOf);
  return new Table(first, number, source);
}

class Items implements Cut {
  readonly #items: ArrayItems;
  readonly #source: string;

  constructor(number: number, source: string) {
    this.#source = source;
    this.#items = new ArrayItems(source);
    // Blank lines in front count in an array's line numbers, too.
    for (let line = 1; line < number; line++) this.#items.push('');
  }

  push(line: string): Row[] {
    return this.#items.push(line).map((item) => ({ where: `${this.#source} line ${item.line} (item ${item.number})`, text: item.text }));
  }

  end(): Row[] {
    this.#items.end();
    return [];
  }
}

/** JSON lines; a file of one line may be an object with a list in it. */
class Lines implements Cut {
  readonly #source: string;
  readonly #likenessOf: SampleLikeness;
  #number: number;
  #begun = false;
  /** The first row, until another one comes. */
  #held: TextRow | undefined;

  constructor(number: number, source: string, likenessOf: SampleLikeness) {
    this.#number = number - 1;
    this.#source = source;
    this.#likenessOf = likenessOf;
  }

  push(line: string): Row[] {
    this.#number++;
    if (line.trim() === '') return [];
    const row = { where: `${this.#source} line ${this.#number}`, text: line, hint: ONE_A_LINE };
    const held = this.#held;
    this.#held = this.#begun ? undefined : row;
    if (this.#held) {
      this.#begun = true;
      return [];
    }
    return held ? [held, row] : [row];
  }

  *end(): Iterable<Row> {
    if (this.#held) yield* withinObject(this.#held, this.#source, this.#likenessOf);
  }
}

/** Objects over several lines, as `jq` and editors write them: each ends with a brace at the margin. */
class Objects implements Cut {
  readonly #source: string;
  readonly #likenessOf: SampleLikeness;
  #number: number;
  #pieces: string[] = [];
  #characters = 0;
  #began = 0;

  constructor(number: number, source: string, likenessOf: SampleLikeness) {
    this.#number = number - 1;
    this.#source = source;
    this.#likenessOf = likenessOf;
  }

  *push(line: string): Iterable<Row> {
    this.#number++;
    if (this.#pieces.length === 0) {
      if (line.trim() === '') return;
      this.#began = this.#number;
    }
    this.#characters += line.length;
    if (this.#characters > MAX_OBJECT_CHARACTERS)
      throw new FedStreamError(
        'limit',
        `${this.#source} line ${this.#began}: an object is longer than ${MAX_OBJECT_CHARACTERS} characters; write JSON lines`,
      );
    this.#pieces.push(line);
    if (/^\}\s*$/.test(line)) yield* this.#finish();
  }

  *end(): Iterable<Row> {
    if (this.#pieces.length > 0) yield* this.#finish();
  }

  *#finish(): Iterable<Row> {
    const text = this.#pieces.join('\n');
    const where = `${this.#source} line ${this.#began}`;
    this.#pieces = [];
    this.#characters = 0;
    yield* withinObject({ where, text, hint: ONE_A_LINE }, this.#source, this.#likenessOf);
  }
}

class Table implements Cut {
  readonly #rows: TableRows;
  readonly #source: string;
  readonly #header: string;
  readonly #headerLine: number;
  #started = false;

  constructor(header: string, number: number, source: string) {
    this.#source = source;
    this.#header = header;
    this.#headerLine = number;
    this.#rows = new TableRows(header, number, source);
    if (this.#rows.columns.length < 2 || new Set(this.#rows.columns).size < this.#rows.columns.length) throw this.#notJson();
  }

  push(line: string): Row[] {
    if (!this.#started) {
      this.#started = true;
      return [];
    }
    const row = this.#rows.push(line);
    return row ? [{ where: `${this.#source} line ${row.line}`, value: row.value, fault: row.fault }] : [];
  }

  end(): Row[] {
    this.#rows.end();
    return [];
  }

  #notJson(): FedStreamError {
    const begin = JSON.stringify(this.#header.trim().slice(0, 40));
    return new FedStreamError(
      'bad-data',
      `${this.#source} line ${this.#headerLine}: not JSON: the file begins with ${begin}; data are JSON, JSON lines, or a table whose first line names its columns${ONE_A_LINE}`,
    );
  }
}

/**
 * The rows of an object: itself where it is a sample, else those of the list in it. One over several
 * lines that is neither was meant as JSON lines.
 */
function* withinObject(row: TextRow, source: string, likenessOf: SampleLikeness): Iterable<Row> {
  const { text } = row;
  const object = parsed(text);
  const likeness = object ? likenessOf(object) : 'none';
  if (likeness === 'sample') return yield row;
  const within = object && ((likeness === 'none' ? listWithin(object) : undefined) ?? columnsWithin(object));
  if (within && 'why' in within) throw new FedStreamError('bad-data', `${row.where}: ${within.why}`);
  if (!within && object && /\n/.test(text.trim()))
    yield { ...row, fault: `not JSON: an object over several lines is no sample, and has no list of samples in it${ONE_A_LINE}` };
  else if (!within) yield row;
  else for (const [index, value] of within.rows.entries()) yield { where: `${source} ${within.name} ${index + 1}`, value };
}

function parsed(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return value !== null && typeof value === 'object' ? value : undefined;
  } catch {
    return undefined;
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
