// The texts of the tasks of a swarm and of their answers (docs/spec/swarm.md).
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';
import { tokenVerifierSchema } from '../frame/token.js';

/** The kinds of tasks of a swarm; `keep` is asked by an aggregator, all others by the coordinator. */
export const SWARM = {
  ready: 'swarm-ready',
  prepare: 'swarm-prepare',
  serve: 'swarm-serve',
  join: 'swarm-join',
  keep: 'swarm-keep',
  finish: 'swarm-finish',
} as const;

/** The name of the one run of an aggregator's hub. */
export const SWARM_RUN = 'swarm';

const digest = z.string().regex(/^[0-9a-f]{32}$/);
/** An attempt at a round, and the state that it leaves: `r3.1` is the first attempt at round 3. */
const label = z.string().regex(/^r\d{1,6}\.\d{1,6}$/);
const site = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/);
/** A URL without user, query or fragment; whether it is one that may be called is the site's to say. */
const address = z.string().regex(/^[a-z]{2,12}:\/\/[A-Za-z0-9._~:/[\]-]{1,400}$/, 'must be a URL of a driver');
const certificate = z
  .string()
  .max(8_192)
  .regex(/^-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s-]+$/, 'must be a certificate in PEM');

function json<Schema extends z.ZodType>(schema: Schema): z.ZodType<z.output<Schema>, string> {
  return z.string().transform((text, context): z.output<Schema> => {
    try {
      const parsed = schema.safeParse(JSON.parse(text));
      if (parsed.success) return parsed.data;
    } catch {}
    context.addIssue({ code: 'custom', message: 'must be JSON of the shape that docs/spec/swarm.md has' });
    return z.NEVER;
  });
}

/** `ready`: get ready for the attempt. `committed` is the state of the last round, empty before the first. */
export const readyTextsSchema = z.strictObject({ label, committed: z.union([label, z.literal('')]) });

/** The answer of a site that is ready. */
export const readinessSchema = z.strictObject({
  /** What checks the token that the site has made for this attempt. */
  verifier: json(tokenVerifierSchema),
  /** The digest of the model that it holds, empty where it holds none. */
  held: z.union([digest, z.literal('')]),
  /** `yes` where it could serve from the state that was committed. */
  state: z.enum(['yes', 'no']),
  /** Where it would listen as the aggregator; missing where its owner does not let it. */
  address: address.optional(),
  /** The authority of the certificate that it would show there. */
  certificate: certificate.optional(),
});

/** A site that is ready. */
export type Readiness = z.output<typeof readinessSchema>;

/** `prepare`: have the state of a server at hand, to be the aggregator of the attempt. */
export const prepareTextsSchema = z.strictObject({
  label,
  /** The state to go on from; `start` before the first round, `held` where only the model is left. */
  from: z.union([label, z.literal('start'), z.literal('held')]),
  /** The digest of the model that the sites hold, empty before the first round. */
  held: z.union([digest, z.literal('')]),
});

/** `serve`: be the aggregator of the attempt. */
export const serveTextsSchema = z.strictObject({
  label,
  /** The job as its server has it, with the sites that take part. */
  job: json(z.looseObject({ sites: z.array(site).min(1) })),
  /** What checks the token of each site. */
  verifiers: json(z.record(site, tokenVerifierSchema)),
  /** The site that gets the state for the next round; empty where the aggregator keeps it. */
  next: z.union([site, z.literal('')]),
});

/** `join`: take part in the attempt at the aggregator. */
export const joinTextsSchema = z.strictObject({ label, aggregator: site, address, certificate: certificate.optional() });

/** `keep`: take the state over. */
export const keepTextsSchema = z.strictObject({ label });

/** `finish`: the run is over, with this model. */
export const finishTextsSchema = z.strictObject({ held: digest });

/** The answer to `serve`, `join` and `finish`: the digest of the model that the site holds now. */
export const holdingSchema = z.strictObject({ held: digest });

/** Reads texts; throws `bad-frame`, naming the first that is wrong. `whose` begins the message. */
export function swarmTexts<T>(texts: Readonly<Record<string, string>> | undefined, schema: z.ZodType<T>, whose: string): T {
  const parsed = schema.safeParse(texts ?? {});
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new FedStreamError('bad-frame', `${whose} has a wrong text ${issue?.path.join('.') || '(none)'}: ${issue?.message}`);
}
