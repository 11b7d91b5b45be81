// Which codec each tensor gets: rules by name pattern, size and dtype.
import picomatch from 'picomatch';
import { z } from 'zod';
import { parseCodecName } from '../codec/codec-name.js';
import { codecTraits } from '../codec/codec-traits.js';
import { DTYPES, type Dtype, elementCount, isDtype } from '../tensor/dtype.js';
import { type Encoding, RAW, type TensorEntry } from '../tensor/manifest.js';

const codecName = z.string().transform((name, context) => {
  try {
    parseCodecName(name);
    return name;
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message });
    return z.NEVER;
  }
});

const dtypeName = z
  .string()
  .refine(isDtype, { error: (issue) => `${JSON.stringify(issue.input)} is no dtype; one of ${Object.keys(DTYPES).join(', ')}` });

/** A codec's name for every tensor, or rules: the first that matches by name, then by dtype, then the default. */
export const policySchema = z.union([
  codecName,
  z.strictObject({
    default: codecName.default('u4'),
    /** Glob pattern of tensor names → codec, first match wins. */
    names: z.record(z.string().min(1), codecName).default({}),
    /** Dtype → codec. */
    dtypes: z.partialRecord(dtypeName, codecName).default({}),
    /** Tensors with fewer elements stay as they are. */
    minElements: z.int().min(0).default(0),
  }),
]);

export type Policy = z.output<typeof policySchema>;

/**
 * Tensors with fewer elements stay as they are where a job gives only a codec's name: norms and biases. They are a thousandth of a
 * model's bytes, and values close to their block's largest, as norm weights are, come out of a 4-bit code far from what they were.
 */
export const SMALL_TENSOR_ELEMENTS = 1024;

/** Codes of fewer bits are for matrices alone: norms and biases are few, and each of their values counts. */
const LEAST_VECTOR_BITS = 8;
const VECTOR_ENCODING: Encoding = { codec: 'bf16' };

/**
 * The encoding of each tensor; a dtype that no codec may quantize stays as it is. A tensor of one dimension whose codec has fewer than 8 bits
 * travels in bfloat16, unless a rule names it.
 */
export function encodingByPolicy(policy: Policy): (tensor: TensorEntry) => Encoding {
  if (typeof policy === 'string') return encodingByPolicy({ default: policy, names: {}, dtypes: {}, minElements: SMALL_TENSOR_ELEMENTS });
  const names = Object.entries(policy.names).map(([pattern, codec]) => ({
    test: picomatch(pattern, { dot: true }),
    encoding: parseCodecName(codec),
  }));
  const dtypes = new Map<Dtype, Encoding>(Object.entries(policy.dtypes).map(([dtype, codec]) => [dtype as Dtype, parseCodecName(codec)]));
  const fallback = parseCodecName(policy.default);
  return (tensor) => {
    if (!DTYPES[tensor.dtype].quantizable) return RAW;
    const byName = names.find((rule) => rule.test(tensor.name));
    if (byName) return byName.encoding;
    if (elementCount(tensor.shape) < policy.minElements) return RAW;
    const encoding = dtypes.get(tensor.dtype) ?? fallback;
    const rough = encoding.codec !== 'raw' && codecTraits(encoding).bits < LEAST_VECTOR_BITS;
    return rough && tensor.shape.length < 2 ? VECTOR_ENCODING : encoding;
  };
}

/** Whether any tensor can come back from this policy different from how it went in. */
export function isLossy(policy: Policy): boolean {
  return encodingsOf(policy).length > 0;
}

/** Bits a value of the roughest codec of a policy; 32 where it loses nothing. */
export function lossyBits(policy: Policy): number {
  return Math.min(32, ...encodingsOf(policy).map((encoding) => codecTraits(encoding).bits));
}

/** Of the codecs that lose anything. */
function encodingsOf(policy: Policy): Encoding[] {
  const codecs = typeof policy === 'string' ? [policy] : [policy.default, ...Object.values(policy.names), ...Object.values(policy.dtypes)];
  return codecs.map(parseCodecName).filter(({ codec }) => codec !== 'raw');
}

/** The policy in a word or two, for people. */
export function policyLabel(policy: Policy): string {
  return typeof policy === 'string' ? policy : `${policy.default} with rules`;
}
