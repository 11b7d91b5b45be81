// Two filters that turn a model into an update (trained weights less the received ones) and back.
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';
import { row } from '../core/row.js';
import { combine } from '../tensor/combine.js';
import { sameTensors } from '../tensor/manifest-equality.js';
import { tensorsOf } from '../tensor/select-tensors.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { Filter, FilterContext } from './filter.js';
import { asUpdate, updateManifest } from './update.js';

/**
 * `model − reference`, tensor by tensor in float32; tensors that no codec may quantize (counters,
 * masks) pass unchanged.
 */
export function delta(): Filter {
  return { on: 'model', makes: 'update', manifest: updateManifest, apply: (model, context) => withReference(model, context, -1) };
}

/**
 * `reference + update`. On the server the reference is its own model, not the one that the sites
 * decoded, so the coding error of the broadcast does not get into the result.
 */
export function undelta(): Filter {
  return { on: 'update', makes: 'model', apply: (update, context) => withReference(update, context, 1) };
}

/** The row `delta`; it has no options. */
export const deltaRow = row('delta', z.strictObject({}), delta);
/** The row `undelta`; it has no options. */
export const undeltaRow = row('undelta', z.strictObject({}), undelta);

/**
 * The received model in float32, restricted to the tensors of `values` (an earlier filter may have
 * left some out).
 */
function referenceFor(values: StateDict, reference: StateDict, { codecs, site }: FilterContext): StateDict {
  const selected = asUpdate(tensorsOf(reference, values.manifest), codecs);
  sameTensors(selected.manifest, values.manifest, `the result of ${site}`);
  return selected;
}

function withReference(model: StateDict, context: FilterContext, sign: 1 | -1): StateDict {
  const { point, reference, codecs } = context;
  if (!reference) {
    // The first broadcast is whole, and so is one to a site that holds no model yet.
    if (point === 'task-out' || point === 'task-in') return model;
    throw new FedStreamError('internal', `a delta filter stands at "${point}", where there is no received model`);
  }
  const values = asUpdate(model, codecs);
  return combine(values, referenceFor(values, reference, context), sign);
}
