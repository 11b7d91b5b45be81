// A result as an update that counts for more or less than it is long.
import type { CodecTable } from '../codec/codec.js';
import { sumModel } from '../exchange/reduce.js';
import { tensorsOf } from '../tensor/select-tensors.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { Contribution } from './aggregate/aggregator.js';

/**
 * The result with its change of the global model times `factor`, as an update: float32, lazy,
 * relative to `previous`. Tensors that cannot be averaged stay as the result has them.
 */
export function scaledUpdate(result: Contribution, factor: number, previous: StateDict, codecs: CodecTable): Contribution {
  const { model, isUpdate, site } = result;
  const weight = Math.fround(factor);
  const of = (state: StateDict): StateDict => tensorsOf(state, model.manifest);
  const given = isUpdate ? [] : [{ model: of(previous), weight: -weight }];
  // Whole weights were trained from what of the model the sites' dtypes can hold; `base` is the rest.
  const owed = isUpdate || !result.base ? [] : [{ model: of(result.base), weight }];
  const update = sumModel({ addends: [{ model, weight }, ...given, ...owed], codecs, what: `the scaled update of ${site}` });
  return { ...result, model: update, isUpdate: true, base: previous };
}
