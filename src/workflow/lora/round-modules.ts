// The next adapter of a round as a lazy state dict, made module by module: the factors, and beside
// them what they lack.
import { FedStreamError } from '../../core/errors.js';
import { besideFactor, type LoraPair } from '../../tensor/lora-pairs.js';
import type { Product } from '../../tensor/low-rank/product.js';
import { CHUNK_ELEMENTS, type Manifest, RAW, type TensorEntry } from '../../tensor/manifest.js';
import type { StateDict } from '../../tensor/state-dict.js';
import { chunksOfTensors, placeOf, tensorValues } from '../../tensor/tensor-values.js';
import { columnsOfB, rowsOfA, valuesOfA, valuesOfB } from './site-factors.js';

/** The factors of one module, and a product that is kept beside them. */
export interface Made {
  readonly factors: Product;
  readonly beside: Product;
}

/** Options of `roundModules`. */
export interface RoundModulesOptions {
  readonly pairs: readonly LoraPair[];
  /** The model whose factors are replaced. */
  readonly previous: Manifest;
  /** The word in the names of what is kept beside the factors: `stack`, `error`. */
  readonly word: string;
  /** The number of terms kept beside a module's factors. */
  termsOf(pair: LoraPair): number;
  make(pair: LoraPair): Promise<Made>;
}

/**
 * The factors of every pair in float32, each followed by what is kept beside it. Lazy; a module is
 * made when the first of its tensors is read, and is in memory until the next one is.
 */
export function roundModules({ pairs, previous, word, termsOf, make }: RoundModulesOptions): StateDict {
  const owners: LoraPair[] = [];
  const tensors = pairs.flatMap((pair): TensorEntry[] => {
    const count = termsOf(pair);
    const entries: TensorEntry[] = [entryOf(previous, pair.a), entryOf(previous, pair.b)];
    if (count > 0) {
      entries.push({ name: besideFactor(pair.a, word), dtype: 'F32', shape: [count, pair.inputs], encoding: RAW });
      entries.push({ name: besideFactor(pair.b, word), dtype: 'F32', shape: [pair.outputs, count], encoding: RAW });
    }
    for (const _ of entries) owners.push(pair);
    return entries;
  });
  const manifest: Manifest = { tensors, chunkElements: CHUNK_ELEMENTS, tied: {}, metadata: {} };
  let last: { readonly pair: LoraPair; readonly made: Promise<Made> } | undefined;
  const valuesOf = async (index: number): Promise<Float32Array> => {
    const pair = owners[index] as LoraPair;
    if (last?.pair !== pair) last = { pair, made: make(pair) };
    const { factors, beside } = await last.made;
    const { name } = tensors[index] as TensorEntry;
    if (name === pair.a) return valuesOfA(factors.right);
    if (name === pair.b) return valuesOfB(factors.left);
    return name === besideFactor(pair.a, word) ? valuesOfA(beside.right) : valuesOfB(beside.left);
  };
  return { manifest, chunks: (range) => chunksOfTensors(manifest, valuesOf, range) };
}

/** What an earlier round kept beside a pair; undefined where it kept nothing. */
export async function keptBeside(state: StateDict | undefined, { a, b }: LoraPair, word: string): Promise<Product | undefined> {
  const terms = termsBeside(state?.manifest, a, word);
  if (!state || terms === 0) return undefined;
  const [rows, columns] = [await tensorValues(state, besideFactor(a, word)), await tensorValues(state, besideFactor(b, word))];
  return { left: columnsOfB(columns, terms), right: rowsOfA(rows, terms) };
}

/** The number of terms that an earlier round kept beside a pair. */
export function termsBeside(manifest: Manifest | undefined, a: string, word: string): number {
  const place = manifest && placeOf(manifest, besideFactor(a, word));
  return place === undefined ? 0 : (manifest?.tensors[place]?.shape[0] ?? 0);
}

function entryOf({ tensors }: Manifest, name: string): TensorEntry {
  const entry = tensors.find((tensor) => tensor.name === name);
  if (!entry) throw new FedStreamError('internal', `the model has no ${name}`);
  return { ...entry, encoding: RAW };
}
