// Statistics of text data, as they leave a site: counts in bins of a least number of samples, in the
// bounds that both sides check.
import { z } from 'zod';
import { BUDGETS } from '../core/budgets.js';
import { visible } from '../core/visible.js';

/** The most characters of a category's name. */
export const MOST_NAME = 64;
/** Lengths are counted up to 2 to the power of this; longer texts are in the last bin. */
export const MOST_POWER = 40;

const count = z.int().min(0).max(BUDGETS.samples.limit);
/** A sum of lengths, or of their squares: no larger than the largest double that means anything. */
const sum = z.number().min(0).max(1e40);
const edge = z
  .int()
  .min(0)
  .max(2 ** MOST_POWER);
const name = z
  .string()
  .min(1)
  .max(MOST_NAME)
  .refine((text) => visible(text) === text && text !== '__proto__', 'a name has characters that can be seen, and is not __proto__');

/** A range of lengths, `from` inclusive and `to` exclusive, and the samples in it. */
const rangeSchema = z.strictObject({ from: edge, to: edge, count });

/** The lengths of samples; `sumOfSquares` gives the standard deviation, over any number of sites. */
const lengthsSchema = z.strictObject({
  count,
  sum,
  sumOfSquares: sum,
  bins: z
    .array(rangeSchema)
    .max(MOST_POWER + 1)
    .refine((bins) => bins.every(({ from, to }, i) => from < to && (i === 0 || from >= (bins[i - 1] as { to: number }).to)), 'ranges rise'),
});

/** What a site tells of its data: each bin has at least `leastCount` samples. */
export const statisticsSchema = z.strictObject({
  /** The least number of samples of a bin: that of the job or of the site's owner, the larger one. */
  leastCount: z.int().min(1).max(BUDGETS.samples.limit),
  /** Samples that the site has. */
  samples: count,
  /** Lengths in characters (code points) of prompt and answer together. */
  characters: lengthsSchema.optional(),
  /** Lengths in tokens, as they are trained: cut at `train.maxTokens`. */
  tokens: lengthsSchema.optional(),
  /** Samples by category, the most frequent first; `other` are those of smaller categories, together. */
  categories: z.strictObject({ bins: z.array(z.strictObject({ name, count })).max(BUDGETS.statisticsBins.limit), other: count }).optional(),
  /** Samples that contain a token at least once, by the token's id, the most frequent first. */
  vocabulary: z
    .array(
      z.strictObject({
        id: z
          .int()
          .min(0)
          .max(2 ** 31),
        count,
      }),
    )
    .max(BUDGETS.statisticsBins.limit)
    .optional(),
});

/** What a site tells of its data. */
export type Statistics = z.output<typeof statisticsSchema>;
/** Lengths of samples. */
export type Lengths = z.output<typeof lengthsSchema>;

/** What is asked for. */
export interface StatisticsWish {
  /** The least number of samples of a bin. */
  readonly leastCount: number;
  /** The most tokens of the vocabulary that are counted; 0 for none. */
  readonly tokens: number;
  /** False to leave categories out. */
  readonly categories: boolean;
}
