// The command line of a benchmark: --help with examples, and one line for each wrong value.
import { Command, InvalidArgumentError } from 'commander';
import { reportFailure } from '../dist/cli/exit-code.js';

/**
 * Makes the command of `script`, a file in bench/; each example is [arguments, meaning]. It fails
 * as the command `fedstream` does, in one line.
 */
export function benchCommand(script, description, examples = []) {
  const fail = (error) => process.exit(reportFailure(error, console.error));
  process.once('uncaughtException', fail);
  const run = `node bench/${script}`;
  const lines = examples.map(([options, what]) => `  ${run}${options && ` ${options}`}\n      ${what}`);
  const command = new Command(run).description(description).showHelpAfterError('(--help shows what there is)').exitOverride(fail);
  return lines.length > 0 ? command.addHelpText('after', `\nExamples:\n${lines.join('\n')}`) : command;
}

/** A parser of values with commas between them, each read by `parse`. */
export const listOf = (parse) => (value) => value.split(',').map((one) => parse(one));

/** A parser of a choice. */
export const oneOf = (choices) => (value) => {
  if (choices.includes(value)) return value;
  throw new InvalidArgumentError(`${value ? `${value} is none of` : 'It must be one of'} ${choices.join(', ')}.`);
};
