// How far the updates of sites are from each other, by one pass over all results.

import type { CodecTable } from '../../../codec/codec.js';
import { inFloat32 } from '../../../codec/float32.js';
import { poolFor } from '../../../codec/quantize.js';
import { innerProducts } from '../../../exchange/column-chunks.js';
import { sumModel } from '../../../exchange/reduce.js';
import { DTYPES } from '../../../tensor/dtype.js';
import { selectTensors, tensorsOf } from '../../../tensor/select-tensors.js';
import type { StateDict } from '../../../tensor/state-dict.js';
import type { AggregatorInput, Contribution } from '../aggregator.js';

/** A square matrix, row by row. */
export interface Square {
  readonly side: number;
  readonly values: Float64Array;
}

/**
 * The dot products of the sites' updates, over the values that can be averaged, in float64. Where
 * the results are whole weights, the model that the sites were given is subtracted first: the last
 * one less the base.
 */
export async function updateProducts(
  ordered: readonly Contribution[],
  { previous, codecs }: Pick<AggregatorInput, 'previous' | 'codecs'>,
): Promise<Square> {
  const models = ordered.map(({ model }) => averagedOf(model));
  const first = models[0] as StateDict;
  const { isUpdate, base } = ordered[0] as Contribution;
  const less = isUpdate ? undefined : givenOf(tensorsOf(previous, first.manifest), base && tensorsOf(base, first.manifest), codecs);
  const values = await innerProducts({ models, less, codecs, pool: poolFor(first, codecs), what: 'the distances of the results' });
  return { side: ordered.length, values };
}

/** The squares of the distances: |a|² + |b|² − 2ab, never below 0. */
export function squaredDistances({ side, values }: Square): Square {
  const at = (i: number, j: number): number => values[i * side + j] as number;
  const squares = new Float64Array(side * side);
  for (let i = 0; i < side; i++)
    for (let j = 0; j < side; j++) if (i !== j) squares[i * side + j] = Math.max(0, at(i, i) + at(j, j) - 2 * at(i, j));
  return { side, values: squares };
}

function givenOf(model: StateDict, base: StateDict | undefined, codecs: CodecTable): StateDict {
  if (!base) return model;
  const addends = [
    { model, weight: 1 },
    { model: base, weight: -1 },
  ];
  return sumModel({ addends, codecs, what: 'the model that the sites were given' });
}

function averagedOf(model: StateDict): StateDict {
  return selectTensors(inFloat32(model), ({ dtype }) => DTYPES[dtype].quantizable);
}
