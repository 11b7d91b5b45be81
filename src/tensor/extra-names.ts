// Rules for the names of extras, the state dicts that travel beside a model.
import { type ErrorCode, FedStreamError } from '../core/errors.js';

/**
 * The pattern of a name: 1 to 64 letters, digits, dots, dashes or underscores, a letter or a digit
 * first, since a name is part of file names.
 */
export const EXTRA_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/**
 * The most state dicts beside the model in one message: each costs a file, a manifest and a pass,
 * and no known algorithm has more than a few.
 */
export const MAX_EXTRAS = 16;

/** The name of the model itself, which no extra may have. */
export const MODEL_NAME = 'model';

/**
 * Throws `code` with a message that says what is wrong. `whose` begins the message: `the trainer
 * "own"`.
 */
export function checkExtraNames(names: readonly string[], whose: string, code: ErrorCode = 'bad-argument'): void {
  const wrong = wrongNames(names);
  if (wrong) throw new FedStreamError(code, `${whose} ${wrong}`);
}

function wrongNames(names: readonly string[]): string | undefined {
  if (names.length > MAX_EXTRAS) return `has ${names.length} extras; at most ${MAX_EXTRAS} travel with a model`;
  const bad = names.find((name) => !EXTRA_NAME.test(name));
  if (bad !== undefined)
    return `has an extra named ${JSON.stringify(bad.slice(0, 80))}; a name has 1 to 64 letters, digits, dots, dashes or underscores, and begins with a letter or digit`;
  if (names.some((name) => name.toLowerCase() === MODEL_NAME)) return `has an extra named ${MODEL_NAME}, which is the model's own name`;
  // Some file systems take both names for the same file.
  const twice = names.find((name, index) => names.findIndex((other) => other.toLowerCase() === name.toLowerCase()) !== index);
  return twice === undefined ? undefined : `has two extras named ${twice} (case does not tell names apart)`;
}
