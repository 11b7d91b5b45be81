// How a job's messages are coded: the start, the way down and the way up.
import { z } from 'zod';
import type { CodecTable } from '../codec/codec.js';
import { codecNames } from '../codec/codec-name.js';
import { codecTraits, losesValues } from '../codec/codec-rows.js';
import type { TensorEntry } from '../tensor/manifest.js';
import { encodingByPolicy, type Policy, type PolicyInput, policyLabel, policySchema } from './policy.js';

/** Names of a whole way of coding, beside those of codecs. */
const LEAN = 'lean';
const PAPER = 'paper';

function codingSchema(codecs: CodecTable) {
  const policy = policySchema(codecs);
  const start = z.union([z.enum(['base', 'raw']), policy], {
    error: `must be "base", "raw", a codec (${codecNames(codecs).join(', ')}) or a policy`,
  });
  return z.strictObject({
    /** The start; see `Coding`. */
    first: start.optional(),
    down: policy.default('u4'),
    up: policy.default('u4'),
    whole: z.boolean().optional(),
    feedback: z.boolean().optional(),
  });
}

/** What a job may say. */
export type QuantizeInput = string | PolicyInput | z.input<ReturnType<typeof codingSchema>>;

/** A job's `quantize`: a codec or a policy for both ways, `lean`, `paper`, `paper:<codec>`, or each for itself; with the codecs that there are. */
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
      // What a short form stands for is wrong in each of its fields.
      const issues = typeof value === 'string' ? parsed.error.issues.slice(-1) : parsed.error.issues;
      for (const issue of issues)
        context.addIssue({ code: 'custom', path: typeof value === 'string' ? [] : issue.path.slice(), message: messageOf(issue) });
      return z.NEVER;
    });
}

/** What `quantize` means. */
export interface Coding {
  /**
   * What sites begin with. `base`: the model as it is, which a site that has it already is not sent; `raw`: sent in its own dtypes; else coded so, and
   * the rest follows with the next broadcasts. Without it `base`, and for a float32 model that most sites lack, bfloat16 (`chooseStart`).
   */
  readonly first?: 'base' | 'raw' | Policy | undefined;
  readonly down: Policy;
  readonly up: Policy;
  /** Whole weights are coded, both ways, as in the paper: what coding loses is lost. */
  readonly whole?: boolean | undefined;
  /** Whether a site adds what the coding of its last update kept back to the next (error feedback); by default as is best for each codec. */
  readonly feedback?: boolean | undefined;
}

/** Where a job says nothing. */
export const DEFAULT_CODING = 'u4';

/** The fields that a short form stands for; what is wrong with them the schema tells. Undefined where it is no form at all. */
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

/** Whether a site adds what coding kept back of a tensor to its next update. */
export function feedbackFor({ up, feedback }: Coding, codecs: CodecTable): (tensor: TensorEntry) => boolean {
  if (feedback === false) return () => false;
  const encodingFor = encodingByPolicy(up, codecs);
  return (tensor) => {
    const encoding = encodingFor(tensor);
    return losesValues(codecs, encoding) && (feedback ?? codecTraits(codecs, encoding).feedback);
  };
}
