// What a program prints: its lines to the log, the last of them kept, progress bars only as progress.
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

/** Enough for the exception at the end of a traceback, and for one that Node prints above its stack. */
const KEPT_LINES = 10;
/** A kept line is cut: an error message has to stay one that a person can read. */
const KEPT_CHARACTERS = 200;
/** A line without an end is logged in pieces of this size. */
const LINE_CHARACTERS = 8_192;

/** Python marks the place in the line above: nothing to read in a message. */
const MARKS = /^[\s^~]*$/;

export interface OutputLines {
  /** The last lines of all outputs, as one line of text. */
  last(): string;
}

/** Reads the outputs to their ends. */
export function readOutput(outputs: readonly Readable[], onLine: (line: string) => void, onProgress: () => void): OutputLines {
  const kept: string[] = [];
  const take = (line: string, ending: string): void => {
    const text = line.trimEnd();
    // A line that a carriage return ends is overwritten on a screen: a progress bar.
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
    // A carriage return at the very end may be half of a line's end.
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
