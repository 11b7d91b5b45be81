// Figures that come from a peer: each has a bound, so that what is summed, averaged and written can
// always be read again.
import { z } from 'zod';
import { BUDGETS } from '../core/budgets.js';
import { visible } from '../core/visible.js';

/** The size of the largest figure that is taken. */
export const MOST_FIGURE = Number(`1e${BUDGETS.figureSize.limit}`);
const SIZE = `its size is at most ${MOST_FIGURE}`;

/** A loss, a rate, a metric: finite, and of a size that sums and products do not overflow. */
export const figureSchema = z.number().min(-MOST_FIGURE, SIZE).max(MOST_FIGURE, SIZE);

/** A number of samples: at least one, and exact in a sum over all sites. */
export const samplesSchema = z.int().min(1).max(BUDGETS.samples.limit);

/** A number of steps, or of tokens of a step. */
export const stepCountSchema = z.int().min(0).max(BUDGETS.stepNumber.limit);

/** Resident memory in bytes. */
export const memoryBytesSchema = z.int().min(0).max(BUDGETS.memoryFigure.limit);

/** Names of figures: they stand in logs, reports and terminals as they are. */
const nameSchema = z
  .string()
  .min(1)
  .max(64)
  .refine((name) => visible(name) === name && name !== '__proto__', 'a name has characters that can be seen, and is not __proto__');

/** Figures by name: `saturated`, `perplexity`, … */
export const namedFiguresSchema = z
  .record(nameSchema, figureSchema)
  .refine((all) => Object.keys(all).length <= BUDGETS.namedFigures.limit, `at most ${BUDGETS.namedFigures.limit} figures`);

/** Text for people, from a peer: nothing in it is obeyed by a terminal. */
export function peerText(mostCharacters: number): z.ZodType<string, string> {
  return z
    .string()
    .max(mostCharacters)
    .transform((text) => visible(text));
}
