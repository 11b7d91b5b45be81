// JSON that can be read again: numbers that JSON cannot say are refused instead of written as null.
import { FedStreamError } from './errors.js';
import { visibleJson } from './visible.js';

/**
 * The value as JSON on one line, or indented by `space`. Throws `non-finite`, naming `what` and the
 * field, where a number is NaN or infinite.
 */
export function jsonText(value: unknown, what: string, space?: number): string {
  const text = JSON.stringify(value, undefined, space);
  // Such a number becomes `null`, so a text without that word needs no second look.
  if (text.includes('null')) checkNumbers(value, what, []);
  return visibleJson(text);
}

function checkNumbers(value: unknown, what: string, path: readonly string[]): void {
  if (typeof value === 'number' && !Number.isFinite(value))
    throw new FedStreamError('non-finite', `${what} cannot be written: ${path.join('.') || 'it'} is ${value}`);
  if (value === null || typeof value !== 'object') return;
  for (const [key, inner] of Object.entries(value)) checkNumbers(inner, what, [...path, key]);
}
