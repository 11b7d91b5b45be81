// The pair of filters that send an update instead of a model: the trained weights less the received ones, and back.
import { FedStreamError } from '../core/errors.js';
import { DTYPES } from '../tensor/dtype.js';
import { sameTensors } from '../tensor/manifest-equality.js';
import { selectTensors } from '../tensor/select-tensors.js';
import type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';
import { narrowInto, widenInto } from '../tensor/widen.js';
import type { Filter, FilterContext } from './filter.js';

/** `model − reference`, tensor by tensor in float32; tensors that no codec may quantize (counters, masks) pass as they are. */
export function delta(): Filter {
  return (model, context) => combine(model, referenceFor(model, context), (value, held) => value - held);
}

/** `reference + update`. On the server the reference is its own model, not what the sites decoded: the error of the broadcast is not taken over. */
export function undelta(): Filter {
  return (update, context) => combine(update, referenceFor(update, context), (value, held) => held + value);
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

function combine(model: StateDict, reference: StateDict | undefined, operation: (value: number, received: number) => number): StateDict {
  if (!reference) return model;
  return { manifest: model.manifest, chunks: (range) => combined(model, reference, operation, range), close: () => model.close?.() };
}

async function* combined(
  model: StateDict,
  reference: StateDict,
  operation: (value: number, received: number) => number,
  range?: ChunkRange,
): AsyncGenerator<Chunk> {
  const size = model.manifest.chunkElements;
  const values = new Float32Array(size);
  const received = new Float32Array(size);
  const bytes = new Uint8Array(size * 4);
  const others = reference.chunks(range)[Symbol.asyncIterator]();
  try {
    for await (const chunk of model.chunks(range)) {
      const other = await others.next();
      if (other.done) throw new FedStreamError('internal', `the received model ended before ${chunk.tensor.name}`);
      const { dtype } = chunk.tensor;
      if (!DTYPES[dtype].quantizable) {
        yield chunk;
        continue;
      }
      const a = widenInto(dtype, chunk.bytes, values);
      const b = widenInto(dtype, other.value.bytes, received);
      for (let i = 0; i < a.length; i++) a[i] = operation(a[i] as number, b[i] as number);
      yield { ...chunk, bytes: narrowInto(dtype, a, bytes) };
    }
  } finally {
    await others.return?.();
  }
}
