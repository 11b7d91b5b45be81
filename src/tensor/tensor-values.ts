// The values of one tensor of a float32 state dict, as a whole: for tensors that are known to be
// small, such as the factors of an adapter.
import { FedStreamError } from '../core/errors.js';
import { chunkPlaces, tensorRange } from './chunks.js';
import { elementCount } from './dtype.js';
import type { Manifest, TensorEntry } from './manifest.js';
import type { Chunk, ChunkRange, StateDict } from './state-dict.js';

/** The position of each tensor by its name, found once for a manifest. */
const PLACES = new WeakMap<Manifest, ReadonlyMap<string, number>>();

/** The position of a tensor; undefined where the manifest has none of that name. */
export function placeOf(manifest: Manifest, name: string): number | undefined {
  const known = PLACES.get(manifest) ?? new Map(manifest.tensors.map((tensor, index) => [tensor.name, index]));
  PLACES.set(manifest, known);
  return known.get(name);
}

/** All values of a raw float32 tensor. Throws `bad-model` where there is none of that name. */
export async function tensorValues(model: StateDict, name: string): Promise<Float32Array> {
  const index = placeOf(model.manifest, name);
  if (index === undefined) throw new FedStreamError('bad-model', `there is no tensor ${name}`);
  const tensor = model.manifest.tensors[index] as TensorEntry;
  if (tensor.dtype !== 'F32' || tensor.encoding.codec !== 'raw')
    throw new FedStreamError('internal', `${name} is ${tensor.dtype}, ${tensor.encoding.codec}; raw float32 was expected`);
  const values = new Uint8Array(4 * elementCount(tensor.shape));
  for await (const { firstElement, bytes } of model.chunks(tensorRange(model.manifest, index))) values.set(bytes, 4 * firstElement);
  return new Float32Array(values.buffer);
}

/**
 * The chunks of a raw state dict, tensor by tensor: the values of a float32 tensor as a whole, or its
 * chunks from the one at `skipped` on.
 */
export async function* chunksOfTensors(
  manifest: Manifest,
  valuesOf: (tensorIndex: number, skipped: number) => Promise<Float32Array> | AsyncIterable<Chunk>,
  range?: ChunkRange,
): AsyncGenerator<Chunk> {
  let current = -1;
  let bytes: Uint8Array = new Uint8Array(0);
  let reader: AsyncIterator<Chunk> | undefined;
  try {
    for (const place of chunkPlaces(manifest, range)) {
      if (place.tensorIndex !== current) {
        current = place.tensorIndex;
        await reader?.return?.();
        const given = valuesOf(current, place.firstElement / manifest.chunkElements);
        if (Symbol.asyncIterator in given) reader = given[Symbol.asyncIterator]();
        else {
          reader = undefined;
          const values = await given;
          bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
        }
      }
      if (reader) yield { ...place, bytes: ((await reader.next()).value as Chunk).bytes };
      else yield { ...place, bytes: bytes.subarray(4 * place.firstElement, 4 * (place.firstElement + place.elements)) };
    }
  } finally {
    await reader?.return?.();
  }
}
