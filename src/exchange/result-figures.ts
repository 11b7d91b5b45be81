// The figures of a result as they come from a site: refused by the name of the one that is wrong.
import { FedStreamError } from '../core/errors.js';
import { type ResultFigures, resultSchema } from './task.js';

/** The task that a result says it is for, whatever else is wrong with it. */
export function taskOfResult(value: unknown): string | undefined {
  const task = (value as { readonly task?: unknown } | null)?.task;
  return typeof task === 'string' && task.length <= 128 ? task : undefined;
}

/**
 * The figures, checked. Throws `limit`, naming the site and the figure: the same result sent again
 * would be refused again, so the site must not take it for a damaged one.
 */
export function resultFigures(value: unknown, site: string): ResultFigures {
  const parsed = resultSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const at = issue?.path.join('.') || 'their root';
  throw new FedStreamError('limit', `the figures of ${site} are refused at ${at}: ${issue?.message}`);
}
