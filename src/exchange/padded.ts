// A model with all the tensors of another; the ones that it lacks are zero.
import { chunkPlaces, tensorRange } from '../tensor/chunks.js';
import { dtypeBytes } from '../tensor/dtype.js';
import { type Manifest, RAW, type TensorEntry } from '../tensor/manifest.js';
import type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';

/**
 * The tensors of `like`, each from `model`, in its encoding, where it has one of that name, dtype
 * and shape, else raw and zero. Lazy.
 */
export function paddedTo({ tensors: wanted, ...rest }: Manifest, model: StateDict): StateDict {
  const places = new Map(model.manifest.tensors.map((tensor, index) => [`${tensor.name} ${tensor.dtype} [${tensor.shape}]`, index]));
  const sources = wanted.map(({ name, dtype, shape }) => places.get(`${name} ${dtype} [${shape}]`));
  const tensors = wanted.map((tensor, index) => {
    const source = sources[index];
    return { ...tensor, encoding: source === undefined ? RAW : (model.manifest.tensors[source] as TensorEntry).encoding };
  });
  const like: Manifest = { ...rest, tensors };
  async function* chunks(range?: ChunkRange): AsyncGenerator<Chunk> {
    let zeros = new Uint8Array(0);
    let reader: AsyncIterator<Chunk> | undefined;
    let reading = -1;
    try {
      for (const place of chunkPlaces(like, range)) {
        const source = sources[place.tensorIndex];
        if (source === undefined) {
          const bytes = dtypeBytes(place.tensor.dtype, place.elements);
          if (zeros.length < bytes) zeros = new Uint8Array(bytes);
          yield { ...place, bytes: zeros.subarray(0, bytes) };
          continue;
        }
        if (reading !== place.tensorIndex) {
          await reader?.return?.();
          reading = place.tensorIndex;
          const { first, end } = tensorRange(model.manifest, source);
          const skipped = place.firstElement / like.chunkElements;
          reader = model.chunks({ first: first + skipped, end })[Symbol.asyncIterator]();
        }
        const next = await (reader as AsyncIterator<Chunk>).next();
        yield { ...place, bytes: (next.value as Chunk).bytes };
      }
    } finally {
      await reader?.return?.();
    }
  }
  return { manifest: like, chunks, close: () => model.close?.() };
}
