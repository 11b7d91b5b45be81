// Checks that a program's result has the tensors of the model that it was given.
import { FedStreamError } from '../../core/errors.js';
import type { Dtype } from '../../tensor/dtype.js';
import type { Manifest, TensorEntry } from '../../tensor/manifest.js';
import { arrangeTensors } from '../../tensor/select-tensors.js';
import type { StateDict } from '../../tensor/state-dict.js';

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

function differences(found: Manifest, expected: Manifest): string[] {
  const byName = new Map(found.tensors.map((tensor) => [tensor.name, tensor]));
  const wanted = new Set(expected.tensors.map(({ name }) => name));
  const missing = expected.tensors.filter(({ name }) => !byName.has(name)).map(({ name }) => name);
  const extra = found.tensors.filter(({ name }) => !wanted.has(name) && !(name in expected.tied)).map(({ name }) => name);
  const other = expected.tensors.flatMap((tensor) => {
    const answer = byName.get(tensor.name);
    return answer && !fits(answer, tensor) ? [`${tensor.name} is ${describe(answer)} instead of ${describe(tensor)}`] : [];
  });
  return [listed('it lacks', missing), listed('it has, beyond the model,', extra), listed('', other)].filter((text) => text !== '');
}

/** Any float dtype fits a float tensor, since the difference is sent in float32. */
const FLOATS: ReadonlySet<Dtype> = new Set(['F64', 'F32', 'F16', 'BF16']);

function fits(answer: TensorEntry, wanted: TensorEntry): boolean {
  const sameDtype = answer.dtype === wanted.dtype || (FLOATS.has(answer.dtype) && FLOATS.has(wanted.dtype));
  return sameDtype && answer.shape.join() === wanted.shape.join();
}

function listed(what: string, names: readonly string[]): string {
  if (names.length === 0) return '';
  const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : '';
  return `${what} ${names.slice(0, NAMED).join(', ')}${more}`.trim();
}

function describe({ dtype, shape }: TensorEntry): string {
  return `${dtype} [${shape.join(', ')}]`;
}
