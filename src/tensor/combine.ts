// One state dict made of two, value by value.
import { FedStreamError } from '../core/errors.js';
import { DTYPES } from './dtype.js';
import type { Chunk, ChunkRange, StateDict } from './state-dict.js';
import { narrowInto, widenInto } from './widen.js';

/** Element by element in float32, lazy; both have the same tensors in the same order. Tensors that no codec may quantize (counters, masks) pass as they are. */
export function combine(model: StateDict, reference: StateDict, operation: (value: number, received: number) => number): StateDict {
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
      if (other.done) throw new FedStreamError('internal', `the other model ended before ${chunk.tensor.name}`);
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
