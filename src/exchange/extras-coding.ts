// How state dicts beside the model travel: each in float32, coded as the job says of its name.
import type { CodecTable } from '../codec/codec.js';
import { inFloat32 } from '../codec/float32.js';
import { decodeModel, encodeModel } from '../codec/quantize.js';
import { encodingByPolicy } from '../filter/policy.js';
import type { Job } from '../job/job.js';
import type { NamedDicts } from '../tensor/named-dicts.js';

/** Lazy; a name that the job says nothing of travels as it is. */
export function codedExtras(extras: NamedDicts, job: Job, codecs: CodecTable): NamedDicts {
  const coded = Object.entries(extras).map(([name, dict]) => {
    const policy = Object.hasOwn(job.extras, name) ? job.extras[name]?.quantize : undefined;
    const values = decodeModel(inFloat32(dict), codecs);
    return [name, policy === undefined ? values : encodeModel(values, encodingByPolicy(policy, codecs), codecs)];
  });
  return Object.fromEntries(coded);
}

/** The same, decoded as they are read, float32. */
export function decodedExtras(extras: NamedDicts, codecs: CodecTable): NamedDicts {
  return Object.fromEntries(Object.entries(extras).map(([name, dict]) => [name, decodeModel(inFloat32(dict), codecs)]));
}
