// Rules that give each tensor its codec, by name pattern, size and dtype.
import picomatch from 'picomatch';
import { z } from 'zod';
import type { CodecTable } from '../codec/codec.js';
import { parseCodecName } from '../codec/codec-name.js';
import { codecTraits, losesValues } from '../codec/codec-rows.js';
import { DTYPES, type Dtype, elementCount, isDtype } from '../tensor/dtype.js';
import { type Encoding, RAW, type TensorEntry } from '../tensor/manifest.js';

const codecName = (codecs: CodecTable) =>
  z.string().transform((name, context) => {
    try {
      parseCodecName(name, codecs);
      return name;
    } catch (error) {
      context.addIssue({ code: 'custom', message: (error as Error).message });
      return z.NEVER;
    }
  });

const dtypeName = z
  .string()
  .refine(isDtype, { error: (issue) => `${JSON.stringify(issue.input)} is no dtype; one of ${Object.keys(DTYPES).join(', ')}` });

/**
 * The schema of a policy: a codec's name for every tensor, or rules. The first rule that matches by
 * name applies, then the rule for the dtype, then the default.
 */
export function policySchema(codecs: CodecTable) {
  const codec = codecName(codecs);
  return z.union([
    codec,
    z.strictObject({
      default: codec.default('u4'),
      /** Codec by glob pattern of tensor names; the first match applies. */
      names: z.record(z.string().min(1), codec).default({}),
      /** Codec by dtype. */
      dtypes: z.partialRecord(dtypeName, codec).default({}),
      /** Tensors with fewer elements are not coded. */
      minElements: z.int().min(0).default(0),
    }),
  ]);
}

/** A codec's name, or rules with all their defaults. */
export type Policy = z.output<ReturnType<typeof policySchema>>;
/** A policy as a job may write it. */
export type PolicyInput = z.input<ReturnType<typeof policySchema>>;

/**
 * Smaller tensors (norms and biases) are not coded where a job gives only a codec's name. They are
 * about a thousandth of a model's bytes, and norm weights suffer in a 4-bit code because they lie
 * close to their block's largest value.
 */
export const SMALL_TENSOR_ELEMENTS = 1024;

/** The encoding of one-dimensional tensors whose codec is meant for matrices. */
const VECTOR_ENCODING: Encoding = { codec: 'bf16' };

/**
 * The encoding of each tensor. A dtype that no codec may quantize stays as it is. A one-dimensional
 * tensor whose codec is meant for matrices travels in bfloat16 (uncoded where the codec loses
 * nothing), unless a rule names the tensor.
 */
export function encodingByPolicy(policy: Policy, codecs: CodecTable): (tensor: TensorEntry) => Encoding {
  if (typeof policy === 'string')
    return encodingByPolicy({ default: policy, names: {}, dtypes: {}, minElements: SMALL_TENSOR_ELEMENTS }, codecs);
  const named = (name: string): Encoding => parseCodecName(name, codecs);
  const names = Object.entries(policy.names).map(([pattern, codec]) => ({
    test: picomatch(pattern, { dot: true }),
    encoding: named(codec),
  }));
  const dtypes = new Map<Dtype, Encoding>(Object.entries(policy.dtypes).map(([dtype, codec]) => [dtype as Dtype, named(codec)]));
  const fallback = named(policy.default);
  return (tensor) => {
    if (!DTYPES[tensor.dtype].quantizable) return RAW;
    const byName = names.find((rule) => rule.test(tensor.name));
    if (byName) return byName.encoding;
    if (elementCount(tensor.shape) < policy.minElements) return RAW;
    const encoding = dtypes.get(tensor.dtype) ?? fallback;
    if (tensor.shape.length > 1 || codecTraits(codecs, encoding).vectors) return encoding;
    return losesValues(codecs, encoding) ? VECTOR_ENCODING : RAW;
  };
}

/** True where a tensor can come back from this policy with other values than it had. */
export function isLossy(policy: Policy, codecs: CodecTable): boolean {
  return encodingsOf(policy, codecs).some((encoding) => losesValues(codecs, encoding));
}

/** True where any tensor is coded, with or without loss. */
export function codesAny(policy: Policy, codecs: CodecTable): boolean {
  return encodingsOf(policy, codecs).some(({ codec }) => codec !== RAW.codec);
}

/** Bits per value of the coarsest lossy codec of a policy; 32 where there is none. */
export function lossyBits(policy: Policy, codecs: CodecTable): number {
  const lossy = encodingsOf(policy, codecs).filter((encoding) => losesValues(codecs, encoding));
  return Math.min(32, ...lossy.map((encoding) => codecTraits(codecs, encoding).bits));
}

function encodingsOf(policy: Policy, codecs: CodecTable): Encoding[] {
  const names = typeof policy === 'string' ? [policy] : [policy.default, ...Object.values(policy.names), ...Object.values(policy.dtypes)];
  return names.map((name) => parseCodecName(name, codecs));
}

/** The policy in a word or two, for people. */
export function policyLabel(policy: Policy): string {
  return typeof policy === 'string' ? policy : `${policy.default} with rules`;
}
