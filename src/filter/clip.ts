// The filter that bounds an update: its global L2 norm is at most the promised one.
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';
import { row } from '../core/row.js';
import { largestChunk } from '../tensor/chunks.js';
import { DTYPES } from '../tensor/dtype.js';
import type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';
import { widenInto } from '../tensor/widen.js';
import type { Filter, FilterContext } from './filter.js';

/**
 * `min(1, norm / ‖u‖) × u`, where ‖u‖ is over all float tensors. Squares are added in float64,
 * chunk after chunk in the order of the manifest, so the bits do not depend on the number of
 * threads. The factor is a float32 not above the exact value, and is applied in float32. Reads the
 * update once for the norm and once for the output. Tensors that no codec may quantize pass
 * unchanged. Counts `clipped` (1 where the update was too large) and `updateNorm`, the norm before.
 * A non-finite value is an error that names the tensor and the element.
 */
export function clip(norm: number): Filter {
  return { on: 'update', bounds: true, apply: (update, context) => clipped(update, norm, context) };
}

/** The row `clip`, with the option `norm`. */
export const clipRow = row('clip', z.strictObject({ norm: z.number().positive() }), ({ norm }) => clip(norm));

function clipped(update: StateDict, norm: number, context: FilterContext): StateDict {
  let found: Promise<number> | undefined;
  const factor = (): Promise<number> => {
    found ??= factorFor(update, norm, context).catch((error: unknown) => {
      found = undefined; // the next reader may have better luck with the disk
      throw error;
    });
    return found;
  };
  const chunks = (range?: ChunkRange): AsyncGenerator<Chunk> => scaledChunks(update, factor, range);
  return { manifest: update.manifest, chunks, close: () => update.close?.() };
}

async function factorFor(update: StateDict, norm: number, context: FilterContext): Promise<number> {
  const length = Math.sqrt(await squaredNorm(update, context.site));
  const factor = length > norm ? floatBelow(norm / length) : 1;
  context.count('clipped', length > norm ? 1 : 0);
  context.count('updateNorm', length);
  return factor;
}

/** The largest float32 not above a positive value: a factor rounded up would break the bound. */
function floatBelow(value: number): number {
  const float = Float32Array.of(value);
  if ((float[0] as number) > value) {
    const bits = new Uint32Array(float.buffer);
    bits[0] = (bits[0] as number) - 1;
  }
  return float[0] as number;
}

async function squaredNorm(update: StateDict, site: string): Promise<number> {
  const room = new Float32Array(largestChunk(update.manifest));
  let sum = 0;
  for await (const chunk of update.chunks()) {
    if (!DTYPES[chunk.tensor.dtype].quantizable) continue;
    const values = widenInto(chunk.tensor.dtype, chunk.bytes, room);
    const squares = sumOfSquares(values);
    if (!Number.isFinite(squares)) throw nonFinite(chunk, values, site);
    sum += squares;
  }
  return sum;
}

/** Cannot overflow: the square of any float32, and the sum over a chunk, fit into float64. */
function sumOfSquares(values: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] as number) * (values[i] as number);
  return sum;
}

function nonFinite({ tensor, firstElement }: Chunk, values: Float32Array, site: string): FedStreamError {
  const index = values.findIndex((value) => !Number.isFinite(value));
  const where = `tensor ${tensor.name} has ${values[index]} at element ${firstElement + index}`;
  return new FedStreamError('non-finite', `the update of ${site}: ${where}; it is refused`);
}

async function* scaledChunks(update: StateDict, factorOf: () => Promise<number>, range?: ChunkRange): AsyncGenerator<Chunk> {
  const factor = await factorOf();
  if (factor === 1) {
    yield* update.chunks(range);
    return;
  }
  const room = new Float32Array(largestChunk(update.manifest, range));
  for await (const chunk of update.chunks(range)) {
    if (!DTYPES[chunk.tensor.dtype].quantizable) {
      yield chunk;
      continue;
    }
    const values = widenInto(chunk.tensor.dtype, chunk.bytes, room);
    for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) * factor;
    yield { ...chunk, bytes: new Uint8Array(values.buffer, 0, values.byteLength) };
  }
}
