// The coding of each tensor of a float32 message, by a job's policy.
import type { CodecTable } from '../codec/codec.js';
import { encodingByPolicy, type Policy } from '../filter/policy.js';
import type { Dtype } from '../tensor/dtype.js';
import type { Encoding, Manifest, TensorEntry } from '../tensor/manifest.js';

/**
 * The encoding of each tensor by the rules of a policy, for the dtype that it has in the
 * checkpoint.
 */
export function policyEncoding(
  policy: Policy,
  dtypeOf: (tensor: TensorEntry) => Dtype,
  codecs: CodecTable,
): (tensor: TensorEntry) => Encoding {
  const encodingFor = encodingByPolicy(policy, codecs);
  return (tensor) => encodingFor({ ...tensor, dtype: dtypeOf(tensor) });
}

/** Looks up the dtypes of a manifest's tensors by name. */
export function dtypesOf({ tensors }: Manifest): (tensor: TensorEntry) => Dtype {
  const dtypes = new Map(tensors.map(({ name, dtype }) => [name, dtype]));
  return ({ name, dtype }) => dtypes.get(name) ?? dtype;
}
