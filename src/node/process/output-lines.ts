// Reads a program's output: logs its lines, keeps the last ones, and reports every sign of
// activity.
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

/**
 * Enough for the exception at the end of a traceback, and for the one that Node prints above its
 * stack.
 */
const KEPT_LINES = 10;
/** Kept lines are cut to this length, so that an error message stays readable. */
const KEPT_CHARACTERS = 200;
/** A line without an end is logged in pieces of this size. */
const LINE_CHARACTERS = 8_192;

/** A line with which Python marks a place in the line above: it means nothing in a message. */
const MARKS = /^[\s^~]*$/;

/** The end of a program's output. */
export interface OutputLines {
  /** The last lines of all outputs, as one line of text. */
  last(): string;
}

/**
 * Reads the outputs to their ends. `onLine` gets each line except those of progress bars;
 * `onProgress` is called whenever anything comes.
 */
export function readOutput(outputs: readonly Readable[], onLine: (line: string) => void, onProgress: () => void): OutputLines {
  const kept: string[] = [];
  const take = (line: string, ending: string): void => {
    const text = line.trimEnd();
    // A line that ends with a carriage return is overwritten on a screen: it is a progress bar.
    if (text === '' || ending === '\r') return;
    onLine(text);
    if (MARKS.test(text)) return;
    kept.push(text.trim().slice(0, KEPT_CHARACTERS));
    if (kept.length > KEPT_LINES) kept.shift();
  };
  for (const output of outputs) readLines(output, take, onProgress);
  return { last: () => kept.join(' | ') };
}

function readLines(output: Readable, take: (line: string, ending: string) => void, onProgress: () => void): void {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  output.on('data', (bytes: Buffer) => {
    onProgress();
    const text = rest + decoder.write(bytes);
    let from = 0;
    // A carriage return at the very end may be half of a line end.
    for (const { 0: ending, index } of text.matchAll(/\r\n|\n|\r(?=[\s\S])/g)) {
      take(text.slice(from, index), ending);
      from = index + ending.length;
    }
    rest = text.slice(from);
    for (; rest.length > LINE_CHARACTERS; rest = rest.slice(LINE_CHARACTERS)) take(rest.slice(0, LINE_CHARACTERS), '\n');
  });
  output.on('end', () => take(rest, '\n'));
  output.on('error', () => {});
}
