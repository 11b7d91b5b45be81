// Checks that a program's result has the tensors of the model that it was given.
import { FedStreamError } from '../../core/errors.js';
import { listed } from '../../core/listed.js';
import { tensorRange } from '../../tensor/chunks.js';
import { DTYPES, type Dtype, elementCount } from '../../tensor/dtype.js';
import type { Manifest, TensorEntry } from '../../tensor/manifest.js';
import { arrangeTensors } from '../../tensor/select-tensors.js';
import type { StateDict } from '../../tensor/state-dict.js';
import { widenInto } from '../../tensor/widen.js';

/** Names that a message lists; the rest is counted. */
const NAMED = 3;

/**
 * The program's model in the order of the model that it was given, without second names of tied
 * tensors. Throws `trainer`, which names the tensors that are missing, unknown or different.
 */
export function fittingResult(model: StateDict, expected: Manifest, program: string): StateDict {
  const wrong = differences(model.manifest, expected);
  if (wrong.length > 0)
    throw new FedStreamError('trainer', `the result of ${program} does not fit the model that it was given: ${wrong.join('; ')}`);
  return arrangeTensors(model, expected);
}

/**
 * Compares tensors of the program's model that the model it was given has as second names of other
 * tensors: both halves of a tie have to come back with the same values, since one of them travels.
 * Throws `trainer`, which names both. Reads those tensors, chunk by chunk.
 */
export async function checkTies(model: StateDict, { tied }: Manifest, program: string): Promise<void> {
  const { manifest } = model;
  const places = new Map(manifest.tensors.map(({ name }, index) => [name, index]));
  for (const [alias, name] of Object.entries(tied)) {
    const [at, other] = [places.get(alias), places.get(name)];
    if (at === undefined || other === undefined || (await areEqual(model, at, other))) continue;
    throw new FedStreamError(
      'trainer',
      `${program} returns ${alias} with other values than ${name}, and in the model the two are one tensor under two names: tie them in the program, or begin with a model in which each has a tensor of its own`,
    );
  }
}

async function areEqual(model: StateDict, one: number, other: number): Promise<boolean> {
  const [a, b] = [one, other].map((index) => model.manifest.tensors[index] as TensorEntry) as [TensorEntry, TensorEntry];
  if (elementCount(a.shape) !== elementCount(b.shape)) return false;
  const others = model.chunks(tensorRange(model.manifest, other))[Symbol.asyncIterator]();
  try {
    for await (const { bytes } of model.chunks(tensorRange(model.manifest, one))) {
      const next = await others.next();
      if (next.done || !sameValues(a.dtype, bytes, b.dtype, next.value.bytes)) return false;
    }
    return true;
  } finally {
    await others.return?.();
  }
}

function sameValues(dtype: Dtype, bytes: Uint8Array, otherDtype: Dtype, others: Uint8Array): boolean {
  if (dtype === otherDtype) return bytes.length === others.length && bytes.every((byte, index) => byte === others[index]);
  if (!DTYPES[dtype].quantizable || !DTYPES[otherDtype].quantizable) return false;
  const values = widenInto(dtype, bytes, new Float32Array(bytes.length));
  const found = widenInto(otherDtype, others, new Float32Array(others.length));
  return values.length === found.length && values.every((value, index) => value === found[index]);
}

function differences(found: Manifest, expected: Manifest): string[] {
  const byName = new Map(found.tensors.map((tensor) => [tensor.name, tensor]));
  const wanted = new Set(expected.tensors.map(({ name }) => name));
  const missing = expected.tensors.filter(({ name }) => !byName.has(name)).map(({ name }) => name);
  const extra = found.tensors.filter(({ name }) => !wanted.has(name) && !(name in expected.tied)).map(({ name }) => name);
  const other = expected.tensors.flatMap((tensor) => {
    const answer = byName.get(tensor.name);
    return answer && !fits(answer, tensor) ? [`${tensor.name} is ${describe(answer)} instead of ${describe(tensor)}`] : [];
  });
  return [
    ...(missing.length > 0 ? [`it lacks ${listed(missing, NAMED)}`] : []),
    ...(extra.length > 0 ? [`it has, beyond the model, ${listed(extra, NAMED)}`] : []),
    ...(other.length > 0 ? [listed(other, NAMED)] : []),
  ];
}

/** Any float dtype fits a float tensor, since the difference is sent in float32. */
const FLOATS: ReadonlySet<Dtype> = new Set(['F64', 'F32', 'F16', 'BF16']);

function fits(answer: TensorEntry, wanted: TensorEntry): boolean {
  const sameDtype = answer.dtype === wanted.dtype || (FLOATS.has(answer.dtype) && FLOATS.has(wanted.dtype));
  return sameDtype && answer.shape.join() === wanted.shape.join();
}

function describe({ dtype, shape }: TensorEntry): string {
  return `${dtype} [${shape.join(', ')}]`;
}
