// Tensors that cannot be averaged (counters, masks), combined by the rule that a job declares.
import { FedStreamError } from '../../core/errors.js';
import type { INTEGER_RULES } from '../../job/job.js';
import { type Dtype, elementCount } from '../../tensor/dtype.js';
import type { TensorEntry } from '../../tensor/manifest.js';
import { integersOf } from '../../tensor/number-values.js';
import type { Chunk, ChunkRange, StateDict } from '../../tensor/state-dict.js';

/**
 * The rule for tensors that cannot be averaged.
 * - `counters`: a tensor of one element, such as `num_batches_tracked` of a BatchNorm, takes the
 *   largest of the sites' values; larger ones follow `refuse`.
 * - `refuse`: a value on which all sites agree is taken; differing values end the round with an
 *   error that names the tensor.
 * - `previous`: the values of the global model stay.
 * - `largest`: the largest of the sites' values, element by element.
 */
export type IntegerRule = (typeof INTEGER_RULES)[number];

/** The model of one site, for messages that name the site. */
export interface SiteValues {
  readonly site: string;
  readonly model: StateDict;
}

/**
 * Combines a range of tensors that cannot be averaged by the rule, chunk by chunk. All models must
 * have the same tensors. Throws `refused`, naming the tensor and the sites.
 */
export async function* integerChunks(rule: IntegerRule, sites: readonly SiteValues[], range: ChunkRange): AsyncGenerator<Chunk> {
  const [first, ...others] = sites as [SiteValues, ...SiteValues[]];
  const readers = others.map(({ site, model }) => ({ site, chunks: model.chunks(range)[Symbol.asyncIterator]() }));
  let room = new Uint8Array(0);
  try {
    for await (const chunk of first.model.chunks(range)) {
      if (room.length < chunk.bytes.length) room = new Uint8Array(chunk.bytes.length);
      const bytes = room.subarray(0, chunk.bytes.length);
      bytes.set(chunk.bytes);
      for (const { site, chunks } of readers) {
        const next = await chunks.next();
        if (next.done) throw new FedStreamError('internal', `the result of ${site} ended before ${chunk.tensor.name}`);
        if (rule === 'largest' || (rule === 'counters' && isCounter(chunk.tensor)))
          keepLargest(bytes, next.value.bytes, chunk.tensor.dtype, chunk.tensor.name);
        else requireEqual(bytes, next.value.bytes, chunk, first.site, site);
      }
      yield { ...chunk, bytes };
    }
  } finally {
    for (const { chunks } of readers) await chunks.return?.();
  }
}

/** True for a tensor of one element: a count of steps or batches, which differs between sites. */
export function isCounter({ shape }: TensorEntry): boolean {
  return elementCount(shape) === 1;
}

function requireEqual(bytes: Uint8Array, other: Uint8Array, { tensor }: Chunk, site: string, otherSite: string): void {
  if (bytes.every((byte, index) => byte === other[index])) return;
  throw new FedStreamError(
    'refused',
    `tensor ${tensor.name} is ${tensor.dtype} [${tensor.shape.join(', ')}], which cannot be averaged, and ${site} and ${otherSite} have different values of it; say "integers": "previous" or "largest" in the job, or leave it out with a filter`,
  );
}

function keepLargest(bytes: Uint8Array, other: Uint8Array, dtype: Dtype, name: string): void {
  const into = integersOf(dtype, bytes);
  // Bytes of the other model may lie anywhere; those of the result begin a buffer, so the view is of them.
  const values = integersOf(dtype, other);
  if (!into || !values)
    throw new FedStreamError('refused', `tensor ${name} is ${dtype}, of which there is no largest; say "integers": "previous" in the job`);
  for (let i = 0; i < into.length; i++) if ((values[i] as number) > (into[i] as number)) into[i] = values[i] as number;
}
