// The pair of filters that send an update instead of a model: the trained weights less the received ones, and back.
import { FedStreamError } from '../core/errors.js';
import { combine } from '../tensor/combine.js';
import { sameTensors } from '../tensor/manifest-equality.js';
import { selectTensors } from '../tensor/select-tensors.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { Filter, FilterContext } from './filter.js';

/** `model − reference`, tensor by tensor in float32; tensors that no codec may quantize (counters, masks) pass as they are. */
export function delta(): Filter {
  return (model, context) => withReference(model, context, -1);
}

/** `reference + update`. On the server the reference is its own model, not what the sites decoded: the error of the broadcast is not taken over. */
export function undelta(): Filter {
  return (update, context) => withReference(update, context, 1);
}

/** The received model, of the tensors that `model` has (a filter before this one may have left some out). */
function referenceFor(model: StateDict, context: FilterContext): StateDict | undefined {
  // The first broadcast is whole, and so is one to a site that holds nothing yet.
  if (!context.reference && (context.point === 'task-out' || context.point === 'task-in')) return undefined;
  if (!context.reference)
    throw new FedStreamError('internal', `a delta filter stands at "${context.point}", where there is no received model`);
  const names = new Set(model.manifest.tensors.map((tensor) => tensor.name));
  const reference = selectTensors(context.reference, (tensor) => names.has(tensor.name));
  sameTensors(reference.manifest, model.manifest, `the result of ${context.site}`);
  return reference;
}

function withReference(model: StateDict, context: FilterContext, sign: 1 | -1): StateDict {
  const reference = referenceFor(model, context);
  return reference ? combine(model, reference, sign) : model;
}
