// A state dict of some of another's tensors, or of all in another order.
import { chunkPlaces, tensorRange } from './chunks.js';
import type { Manifest, TensorEntry } from './manifest.js';
import type { Chunk, ChunkRange, StateDict } from './state-dict.js';

/**
 * The tensors of `model` that `keep` accepts, in their order; bytes of the others are not read.
 * Names tied to a tensor that is left out are left out too.
 */
export function selectTensors(model: StateDict, keep: (tensor: TensorEntry) => boolean): StateDict {
  const kept: number[] = [];
  for (const [index, tensor] of model.manifest.tensors.entries()) if (keep(tensor)) kept.push(index);
  const tensors = kept.map((index) => model.manifest.tensors[index] as TensorEntry);
  const names = new Set(tensors.map((tensor) => tensor.name));
  const tied = Object.fromEntries(Object.entries(model.manifest.tied).filter(([, name]) => names.has(name)));
  const manifest: Manifest = { ...model.manifest, tensors, tied };
  const runs = runsOf(kept);
  return { manifest, chunks: (range) => selectedChunks(model, manifest, kept, runs, range), close: () => model.close?.() };
}

/** The tensors of `model` whose names `like` has, in the order of `model`. */
export function tensorsOf(model: StateDict, like: Manifest): StateDict {
  const names = new Set(like.tensors.map(({ name }) => name));
  return selectTensors(model, ({ name }) => names.has(name));
}

/**
 * The tensors of `model` that `like` has, in its order and with its ties. Each must be present,
 * raw, with the same dtype and shape (`sameTensors` checks this).
 */
export function arrangeTensors(model: StateDict, like: Manifest): StateDict {
  const places = new Map(model.manifest.tensors.map((tensor, index) => [tensor.name, index]));
  const kept = like.tensors.map(({ name }) => places.get(name) as number);
  const tensors = kept.map((index) => model.manifest.tensors[index] as TensorEntry);
  const manifest: Manifest = { ...model.manifest, tensors, tied: like.tied, metadata: like.metadata };
  const runs = runsOf(kept);
  return {
    manifest,
    stored: model.stored,
    chunks: (range) => selectedChunks(model, manifest, kept, runs, range),
    close: () => model.close?.(),
  };
}

/** For each tensor the number of its run: tensors that follow one another in the model too are read in one go. */
function runsOf(kept: readonly number[]): Uint32Array {
  const runs = new Uint32Array(kept.length);
  for (let i = 1; i < kept.length; i++) runs[i] = (runs[i - 1] as number) + (kept[i] === (kept[i - 1] as number) + 1 ? 0 : 1);
  return runs;
}

async function* selectedChunks(
  model: StateDict,
  manifest: Manifest,
  kept: readonly number[],
  runs: Uint32Array,
  range?: ChunkRange,
): AsyncGenerator<Chunk> {
  const places = chunkPlaces(manifest, range);
  let next = places.next();
  while (!next.done) {
    const { tensorIndex, firstElement, index } = next.value;
    const from = kept[tensorIndex] as number;
    const skipped = firstElement / manifest.chunkElements;
    let wanted = 0;
    while (!next.done && runs[next.value.tensorIndex] === runs[tensorIndex]) {
      wanted++;
      next = places.next();
    }
    const first = tensorRange(model.manifest, from).first + skipped;
    let at = index;
    for await (const chunk of model.chunks({ first, end: first + wanted }))
      yield { ...chunk, tensorIndex: chunk.tensorIndex - from + tensorIndex, index: at++ };
  }
}
