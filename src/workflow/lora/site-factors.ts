// The factors of one module as the sites of a round have trained them, in float64: the only part of
// a model that is in memory at a time.

import type { CodecTable } from '../../codec/codec.js';
import { inFloat32 } from '../../codec/float32.js';
import { decodeModel } from '../../codec/quantize.js';
import type { LoraPair } from '../../tensor/lora-pairs.js';
import type { Columns } from '../../tensor/low-rank/columns.js';
import type { Product } from '../../tensor/low-rank/product.js';
import type { Manifest } from '../../tensor/manifest.js';
import type { StateDict } from '../../tensor/state-dict.js';
import { placeOf, tensorValues } from '../../tensor/tensor-values.js';
import type { Contribution } from '../aggregate/aggregator.js';

/** One site's factors of a module, and the weight of its result. */
export interface SiteFactors extends Product {
  /** The share of the average; those of a round add up to 1. */
  readonly weight: number;
}

/** Reads the factors of modules from the results of a round. */
export class RoundFactors {
  readonly #results: readonly { readonly weight: number; readonly model: StateDict; readonly base: StateDict | undefined }[];
  readonly #previous: StateDict;

  /** `results` in the order of their sites; `previous` has the factors that no result has. */
  constructor(results: readonly Contribution[], previous: StateDict, codecs: CodecTable) {
    this.#previous = previous;
    const total = results.reduce((sum, { samples }) => sum + samples, 0);
    this.#results = results.map(({ model, base, samples }) => ({
      weight: samples / total,
      model: decodeModel(inFloat32(model), codecs),
      base,
    }));
  }

  /** The factors of a pair, each site's own ones: what it was given and what it has changed. */
  async of({ a, b }: Pick<LoraPair, 'a' | 'b'>): Promise<SiteFactors[]> {
    const found: SiteFactors[] = [];
    for (const { weight, model, base } of this.#results) {
      const own = async (name: string): Promise<Float64Array> =>
        placeOf(model.manifest, name) === undefined ? whole(this.#previous, undefined, name) : whole(model, base, name);
      const rank = rankIn(model.manifest, a) ?? rankIn(this.#previous.manifest, a) ?? 0;
      found.push({ weight, left: columnsOfB(await own(b), rank), right: rowsOfA(await own(a), rank) });
    }
    return found;
  }
}

/** A [rank, inputs] as the columns of its transpose. */
export function rowsOfA(values: ArrayLike<number>, rank: number): Columns {
  return { rows: values.length / rank, count: rank, data: Float64Array.from(values) };
}

/** B [outputs, rank] as its columns. */
export function columnsOfB(values: ArrayLike<number>, rank: number): Columns {
  const rows = values.length / rank;
  const data = new Float64Array(values.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < rank; j++) data[j * rows + i] = values[i * rank + j] as number;
  return { rows, count: rank, data };
}

/** The values of A [rank, inputs] in C order. */
export function valuesOfA({ data }: Columns): Float32Array {
  return Float32Array.from(data);
}

/** The values of B [outputs, rank] in C order. */
export function valuesOfB({ rows, count, data }: Columns): Float32Array {
  const values = new Float32Array(data.length);
  for (let j = 0; j < count; j++) for (let i = 0; i < rows; i++) values[i * count + j] = data[j * rows + i] as number;
  return values;
}

async function whole(model: StateDict, base: StateDict | undefined, name: string): Promise<Float64Array> {
  const values = Float64Array.from(await tensorValues(model, name));
  if (!base) return values;
  const under = await tensorValues(base, name);
  for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) + (under[i] as number);
  return values;
}

/** The rank of a pair in a model; undefined where it has no such pair. */
export function rankIn(manifest: Manifest, a: string): number | undefined {
  const place = placeOf(manifest, a);
  return place === undefined ? undefined : manifest.tensors[place]?.shape[0];
}
