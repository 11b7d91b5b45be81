// Lines for a person on standard error or output: text of other machines and of files that is in
// them is shown, and never obeyed by the terminal.
import { visible } from '../core/visible.js';

/** Writes a line; it stays one line whatever is in the text. */
export function say(text: string, stream: NodeJS.WritableStream = process.stderr): void {
  stream.write(`${visible(text)}\n`);
}
