// The field `weights` of a job: how much the result of each site counts in an average.
import { z } from 'zod';

/**
 * The largest number that a job gives a site: sums over any number of sites stay exact enough, and
 * finite.
 */
const MOST = 1e12;

const SHARE = 0.5;
const TIMES = 100;

const number = z.number(`must be a number above 0, at most ${MOST}`).positive().max(MOST);

const rowsSchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('samples'),
    /**
     * The largest share of the sum that a site may have. By default no site counts for more than
     * all others together.
     */
    share: z.number().positive().max(1).default(SHARE),
    /** The largest multiple of the median of all claims that a site may count for. */
    times: z.number().min(1).default(TIMES),
  }),
  z.strictObject({ type: z.literal('equal') }),
  z.strictObject({ type: z.literal('sites'), sites: z.record(z.string(), number) }),
]);

/** How results are weighted, with all short forms resolved. */
export type Weights = z.output<typeof rowsSchema>;

/** The weights of a job that has none: claims, within the bounds. */
export const BY_SAMPLES: Extract<Weights, { type: 'samples' }> = { type: 'samples', share: SHARE, times: TIMES };

/** The values that a job may give for `weights`. */
export type WeightsInput = 'samples' | 'equal' | z.input<typeof rowsSchema> | Readonly<Record<string, number>>;

/** The schema of `weights`: a name, a name with its options, or a number for each site. */
export const weightsSchema: z.ZodType<Weights, WeightsInput> = z
  .custom<WeightsInput>(() => true)
  .transform((value, context): Weights => {
    const parsed = rowsSchema.safeParse(spelledOut(value));
    if (parsed.success) return parsed.data;
    for (const { code, path, message } of parsed.error.issues) {
      const wrong = code === 'invalid_union' ? 'must be "samples", "equal", or a number for each site: {"site-1": 1000, …}' : message;
      context.addIssue({
        code: 'custom',
        path: path[0] === 'sites' ? path.slice(1) : code === 'invalid_union' ? [] : path,
        message: wrong,
      });
    }
    return z.NEVER;
  });

/**
 * The first site that the weights lack, or that the job lacks; undefined where every site has a
 * weight.
 */
export function unweighted(weights: Weights, sites: readonly string[]): string | undefined {
  if (weights.type !== 'sites') return undefined;
  const lacking = sites.find((site) => !Object.hasOwn(weights.sites, site));
  if (lacking !== undefined) return `${lacking} has no number; give one for each site`;
  const unknown = Object.keys(weights.sites).find((site) => !sites.includes(site));
  return unknown === undefined ? undefined : `${unknown} is not a site of this job`;
}

/** A site may be called `type`: its value is a number. */
function spelledOut(value: unknown): unknown {
  if (typeof value === 'string') return { type: value };
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
  return 'type' in value && typeof value.type === 'string' ? value : { type: 'sites', sites: value };
}
