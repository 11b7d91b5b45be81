// Parsers of command-line values; each error says which values are allowed.
import { InvalidArgumentError, Option } from 'commander';
import { DURATIONS, parseDuration } from '../core/duration.js';
import { NAME_PATTERN } from '../job/job.js';
import type { Dtype } from '../tensor/dtype.js';

/** A parser of whole numbers from `least` to `most`. */
export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (!/^\d+$/.test(value) || !Number.isSafeInteger(number) || number < least || number > most) {
      const to = most === Number.MAX_SAFE_INTEGER ? 'on' : `to ${most}`;
      throw new InvalidArgumentError(`It must be a whole number from ${least} ${to}.`);
    }
    return number;
  };
}

/** Parses a number above 0. */
export function positiveNumber(value: string): number {
  const number = Number(value);
  if (value.trim() === '' || !Number.isFinite(number) || number <= 0) throw new InvalidArgumentError('It must be a number above 0.');
  return number;
}

/** Parses a duration (`10m`, `forever`) into ms; a bare number is seconds. */
export function duration(value: string): number {
  const ms = parseDuration(value);
  if (ms === undefined) throw new InvalidArgumentError(`Write a duration such as ${DURATIONS}; a bare number is seconds.`);
  return ms;
}

/** Collects the values of an option that may be given several times, in order. */
export function repeated(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** Parses the name of a site or a run. */
export function named(value: string): string {
  if (NAME_PATTERN.test(value)) return value;
  throw new InvalidArgumentError('A name is 1 to 64 letters, digits, dots, dashes or underscores.');
}

/** Dtypes of a model folder, by the names that PyTorch gives them. */
const FLOAT_DTYPES: Readonly<Record<string, Dtype>> = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' };

/** `--dtype`; `dtypeOf` translates its value. */
export function dtypeOption(): Option {
  return new Option('--dtype <name>', 'dtype of the final model; by default that of the checkpoint').choices(Object.keys(FLOAT_DTYPES));
}

/** The dtype of a value of `--dtype`. */
export function dtypeOf(name: string | undefined): Dtype | undefined {
  return name === undefined ? undefined : FLOAT_DTYPES[name];
}
