// An adapter at another rank: its first directions alone, or with directions of zeros behind them.
import { tensorRange } from './chunks.js';
import { factorOf, loraPairs } from './lora-pairs.js';
import type { Manifest, TensorEntry } from './manifest.js';
import type { ChunkRange, StateDict } from './state-dict.js';
import { chunksOfTensors, placeOf, tensorValues } from './tensor-values.js';

/**
 * The adapter with `rank` directions in each pair: A keeps its first rows and B its first columns,
 * or zeros follow (Cho et al. 2024, HetLoRA). B is multiplied by `scale`, which makes up for another
 * scaling of the products. Other tensors pass. Raw float32; lazy; holds one tensor at a time.
 */
export function withRank(model: StateDict, rank: number, scale = 1): StateDict {
  const manifest = manifestOfRank(model.manifest, rank);
  const chunks = (range?: ChunkRange) =>
    chunksOfTensors(
      manifest,
      (index, skipped) => {
        const { name } = manifest.tensors[index] as TensorEntry;
        const factor = factorOf(name);
        if (factor !== undefined) return resized(model, name, factor, rank, scale);
        const { first, end } = tensorRange(model.manifest, index);
        return model.chunks({ first: first + skipped, end });
      },
      range,
    );
  return { manifest, chunks, close: () => model.close?.() };
}

/** The manifest that an adapter has at that rank. Throws `bad-model` where its factors do not fit each other. */
export function manifestOfRank(manifest: Manifest, rank: number): Manifest {
  const ofPair = new Set(loraPairs(manifest).flatMap(({ a, b }) => [a, b]));
  const tensors = manifest.tensors.map((tensor) => {
    if (!ofPair.has(tensor.name)) return tensor;
    const [first = 0, second = 0, ...rest] = tensor.shape;
    return { ...tensor, shape: factorOf(tensor.name) === 'A' ? [rank, second, ...rest] : [first, rank, ...rest] };
  });
  return { ...manifest, tensors };
}

async function resized(model: StateDict, name: string, factor: 'A' | 'B', rank: number, scale: number): Promise<Float32Array> {
  const values = await tensorValues(model, name);
  const { shape } = model.manifest.tensors[placeOf(model.manifest, name) as number] as TensorEntry;
  if (factor === 'A') {
    const [rows = 1] = shape;
    const inputs = values.length / rows;
    const into = new Float32Array(rank * inputs);
    into.set(values.subarray(0, into.length));
    return into;
  }
  const [outputs = 0, columns = 0] = shape;
  const into = new Float32Array(outputs * rank);
  const kept = Math.min(rank, columns);
  for (let row = 0; row < outputs; row++)
    for (let j = 0; j < kept; j++) into[row * rank + j] = (values[row * columns + j] as number) * scale;
  return into;
}
