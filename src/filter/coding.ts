// The coding of a job's messages: of the start, of broadcasts, and of results.
import { z } from 'zod';
import type { CodecTable } from '../codec/codec.js';
import { codecNames } from '../codec/codec-name.js';
import { codecTraits, losesValues } from '../codec/codec-rows.js';
import type { TensorEntry } from '../tensor/manifest.js';
import { encodingByPolicy, type Policy, type PolicyInput, policyLabel, policySchema } from './policy.js';

/** Names of whole codings, beside the names of codecs. */
const LEAN = 'lean';
const PAPER = 'paper';

function codingSchema(codecs: CodecTable) {
  const policy = policySchema(codecs);
  const start = z.union([z.enum(['base', 'raw']), policy], {
    error: `must be "base", "raw", a codec (${codecNames(codecs).join(', ')}) or a policy`,
  });
  return z.strictObject({
    /** The coding of the start; see `Coding`. */
    first: start.optional(),
    down: policy.default('u4'),
    up: policy.default('u4'),
    whole: z.boolean().optional(),
    feedback: z.boolean().optional(),
  });
}

/** The values that a job may give for `quantize`. */
export type QuantizeInput = string | PolicyInput | z.input<ReturnType<typeof codingSchema>>;

/**
 * The schema of a job's `quantize`: a codec or a policy for both directions, `lean`, `paper`,
 * `paper:<codec>`, or an object with each field. Names are checked against these codecs.
 */
export function quantizeSchema(codecs: CodecTable): z.ZodType<Coding, QuantizeInput> {
  const schema = codingSchema(codecs);
  return z
    .custom<QuantizeInput>(() => true)
    .transform((value, context): Coding => {
      const spelled = spelledOut(value);
      if (!spelled) {
        context.addIssue({ code: 'custom', message: 'must be a codec, lean, paper:<codec>, a policy, or {"first", "down", "up"}' });
        return z.NEVER;
      }
      const parsed = schema.safeParse(spelled);
      if (parsed.success) return parsed.data;
      // An error in a short form would repeat for each field that it stands for; one is enough.
      const issues = typeof value === 'string' ? parsed.error.issues.slice(-1) : parsed.error.issues;
      for (const issue of issues)
        context.addIssue({ code: 'custom', path: typeof value === 'string' ? [] : issue.path.slice(), message: messageOf(issue) });
      return z.NEVER;
    });
}

/** The coding of a job's messages, with all short forms resolved. */
export interface Coding {
  /**
   * The model that sites begin with. `base`: the model as it is; a site that already has it is not
   * sent it. `raw`: the model, sent in its own dtypes. A policy: the model coded that way; the next
   * broadcasts bring the rest. Undefined means `base`, or bfloat16 for a float32 model that most
   * sites lack (`chooseStart`).
   */
  readonly first?: 'base' | 'raw' | Policy | undefined;
  readonly down: Policy;
  readonly up: Policy;
  /**
   * Codes whole weights in both directions, as in the paper; what coding loses is not made up for.
   */
  readonly whole?: boolean | undefined;
  /**
   * Error feedback: a site adds the residual of its last update to the next one. By default as is
   * best for each codec.
   */
  readonly feedback?: boolean | undefined;
}

/** The coding of a job that has no `quantize`. */
export const DEFAULT_CODING = 'u4';

/**
 * The fields that a short form stands for; undefined for anything else. Wrong values in the fields
 * are left to the schema.
 */
export function spelledOut(value: unknown): object | undefined {
  if (typeof value === 'string') {
    if (value === LEAN) return { down: 'u4', up: 'u1' };
    if (value === PAPER || value.startsWith(`${PAPER}:`)) {
      const codec = value.slice(PAPER.length + 1) || 'nf4';
      return { first: codec, down: codec, up: codec, whole: true };
    }
    return { down: value, up: value };
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined;
  const isPolicy = ['default', 'names', 'dtypes', 'minElements'].some((field) => Object.hasOwn(value, field));
  return isPolicy ? { down: value, up: value } : value;
}

function messageOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') return `${issue.keys.join(', ')}: unknown field; it has first, down, up, whole, feedback`;
  if (issue.code === 'invalid_union') {
    const custom = issue.errors.flat().find(({ code }) => code === 'custom');
    if (custom) return custom.message;
  }
  return issue.message;
}

/** The coding in a word or two, for people. */
export function codingLabel({ first, down, up, whole }: Coding): string {
  const [below, above] = [policyLabel(down), policyLabel(up)];
  if (whole) return `${PAPER}:${below === above ? below : `${below}/${above}`}`;
  const both = below === above ? below : below === 'u4' && above === 'u1' ? LEAN : `${below}/${above}`;
  return first === undefined ? both : `${both}, first ${typeof first === 'string' ? first : policyLabel(first)}`;
}

/** Tells for which tensors a site adds the residual to its next update. */
export function feedbackFor({ up, feedback }: Coding, codecs: CodecTable): (tensor: TensorEntry) => boolean {
  if (feedback === false) return () => false;
  const encodingFor = encodingByPolicy(up, codecs);
  return (tensor) => {
    const encoding = encodingFor(tensor);
    return losesValues(codecs, encoding) && (feedback ?? codecTraits(codecs, encoding).feedback);
  };
}
