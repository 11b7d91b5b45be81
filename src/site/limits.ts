// The limits of a site's owner: the least and the most that a job may ask of the site's data,
// whatever the server says (docs/site.md).
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';

const count = z.int().min(1);

/**
 * The schema of `limits` in `site.json`. A field that is left out has its default, which stands in
 * `DEFAULT_LIMITS`; without one, the field allows everything.
 */
export const limitsSchema = z.strictObject({
  leastSamples: count.optional(),
  leastBatch: count.optional(),
  leastSteps: count.optional(),
  mostSteps: count.optional(),
  mostRounds: count.optional(),
  mostRepeats: count.optional(),
  leastEvaluationSamples: count.optional(),
  mostMemoryBytes: count.optional(),
  codecs: z.array(z.string().min(1).max(64)).optional(),
  trainers: z.array(z.string().min(1).max(64)).optional(),
  jobs: z.array(z.string().regex(/^[0-9a-f]{64}$/, 'must be the digest of a job, which the site prints when it joins')).optional(),
});

/** Limits as their owner wrote them. */
export type SiteLimits = z.output<typeof limitsSchema>;

/**
 * The limits that hold without any `site.json`. One step on one sample in float32 spells the sample
 * out, since only the embeddings of its own tokens move; an update of sixteen samples, four in each
 * step, does not say which token came from whom.
 */
export const DEFAULT_LIMITS = {
  /** Different samples that a round's training uses. */
  leastSamples: 16,
  /** Samples in each optimizer step, so that no step is one person's. */
  leastBatch: 4,
  leastSteps: 1,
  mostSteps: 100_000,
  mostRounds: 10_000,
  /** Models for which one round is trained or evaluated: after a crash a round may come again. */
  mostRepeats: 8,
  leastEvaluationSamples: 16,
} as const satisfies SiteLimits;

/** Limits under which any number of samples will do, for sites whose server has their data anyway. */
export const NO_LEAST = { leastSamples: 1, leastBatch: 1, leastEvaluationSamples: 1 } as const satisfies SiteLimits;

/** Limits with the defaults filled in. */
export type ResolvedLimits = SiteLimits & { readonly [Name in keyof typeof DEFAULT_LIMITS]: number };

/** Fills the defaults in. */
export function resolvedLimits(limits: SiteLimits | undefined): ResolvedLimits {
  const given = Object.fromEntries(Object.entries(limits ?? {}).filter(([, value]) => value !== undefined));
  return { ...DEFAULT_LIMITS, ...given };
}

/** Checks limits that a program gives; throws `bad-argument`, which names the field. */
export function checkedLimits(value: unknown): SiteLimits {
  const parsed = limitsSchema.safeParse(value ?? {});
  if (parsed.success) return parsed.data;
  const what = parsed.error.issues.map(({ path, message }) => `limits.${path.join('.')}: ${message}`).join('; ');
  throw new FedStreamError('bad-argument', `the limits of the site: ${what}`);
}
