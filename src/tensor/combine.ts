// The sum or the difference of two state dicts, value by value.
import { FedStreamError } from '../core/errors.js';
import { largestChunk } from './chunks.js';
import { DTYPES } from './dtype.js';
import type { Chunk, ChunkRange, StateDict } from './state-dict.js';
import { narrowInto, widenInto } from './widen.js';

/**
 * Computes `model + sign × other`, element by element in float32, lazily; both have the same
 * tensors in the same order. Tensors that no codec may quantize (counters, masks) pass as they are.
 */
export function combine(model: StateDict, other: StateDict, sign: 1 | -1): StateDict {
  return { manifest: model.manifest, chunks: (range) => combined(model, other, sign, range), close: () => model.close?.() };
}

async function* combined(model: StateDict, other: StateDict, sign: 1 | -1, range?: ChunkRange): AsyncGenerator<Chunk> {
  const size = largestChunk(model.manifest, range);
  const values = new Float32Array(size);
  const added = new Float32Array(size);
  const bytes = new Uint8Array(size * 4);
  const others = other.chunks(range)[Symbol.asyncIterator]();
  try {
    for await (const chunk of model.chunks(range)) {
      const next = await others.next();
      if (next.done) throw new FedStreamError('internal', `the other model ended before ${chunk.tensor.name}`);
      const { dtype } = chunk.tensor;
      if (!DTYPES[dtype].quantizable) {
        yield chunk;
        continue;
      }
      const a = widenInto(dtype, chunk.bytes, values);
      addTo(a, widenInto(dtype, next.value.bytes, added), sign);
      yield { ...chunk, bytes: narrowInto(dtype, a, bytes) };
    }
  } finally {
    await others.return?.();
  }
}

/**
 * Each sign has a loop of its own: a function call for each value is ten times as slow (measured).
 */
function addTo(a: Float32Array, b: Float32Array, sign: 1 | -1): void {
  if (sign === 1) for (let i = 0; i < a.length; i++) a[i] = (a[i] as number) + (b[i] as number);
  else for (let i = 0; i < a.length; i++) a[i] = (a[i] as number) - (b[i] as number);
}
