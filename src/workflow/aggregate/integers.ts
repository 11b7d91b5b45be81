// Tensors that cannot be averaged (counters, masks), combined by the rule that a job declares.
import { FedStreamError } from '../../core/errors.js';
import type { INTEGER_RULES } from '../../job/job.js';
import type { Dtype } from '../../tensor/dtype.js';
import type { Chunk, ChunkRange, StateDict } from '../../tensor/state-dict.js';

/**
 * The rule for tensors that cannot be averaged.
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
        if (rule === 'largest') keepLargest(bytes, next.value.bytes, chunk.tensor.dtype, chunk.tensor.name);
        else requireEqual(bytes, next.value.bytes, chunk, first.site, site);
      }
      yield { ...chunk, bytes };
    }
  } finally {
    for (const { chunks } of readers) await chunks.return?.();
  }
}

function requireEqual(bytes: Uint8Array, other: Uint8Array, { tensor }: Chunk, site: string, otherSite: string): void {
  if (bytes.every((byte, index) => byte === other[index])) return;
  throw new FedStreamError(
    'refused',
    `tensor ${tensor.name} is ${tensor.dtype}, which cannot be averaged, and ${site} and ${otherSite} have different values of it; say "integers": "previous" or "largest" in the job, or leave it out with a filter`,
  );
}

const ARRAYS: Partial<Record<Dtype, (bytes: Uint8Array) => { [index: number]: number | bigint; readonly length: number }>> = {
  BOOL: (bytes) => bytes,
  U8: (bytes) => bytes,
  I8: ({ buffer, byteOffset, byteLength }) => new Int8Array(buffer, byteOffset, byteLength),
  I16: ({ buffer, byteOffset, byteLength }) => new Int16Array(buffer, byteOffset, byteLength / 2),
  U16: ({ buffer, byteOffset, byteLength }) => new Uint16Array(buffer, byteOffset, byteLength / 2),
  I32: ({ buffer, byteOffset, byteLength }) => new Int32Array(buffer, byteOffset, byteLength / 4),
  U32: ({ buffer, byteOffset, byteLength }) => new Uint32Array(buffer, byteOffset, byteLength / 4),
  I64: ({ buffer, byteOffset, byteLength }) => new BigInt64Array(buffer, byteOffset, byteLength / 8),
  U64: ({ buffer, byteOffset, byteLength }) => new BigUint64Array(buffer, byteOffset, byteLength / 8),
};

function keepLargest(bytes: Uint8Array, other: Uint8Array, dtype: Dtype, name: string): void {
  const view = ARRAYS[dtype];
  if (!view)
    throw new FedStreamError('refused', `tensor ${name} is ${dtype}, of which there is no largest; say "integers": "previous" in the job`);
  const into = view(bytes);
  // A typed array needs aligned bytes, and those of the other model may lie anywhere.
  const values = view(other.slice());
  for (let i = 0; i < into.length; i++) if ((values[i] as number) > (into[i] as number)) into[i] = values[i] as number;
}
