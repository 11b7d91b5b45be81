// A state dict of some of another's tensors, or of all in another order.
import { gatheredChunks } from './gathered-chunks.js';
import type { Manifest, TensorEntry } from './manifest.js';
import type { StateDict } from './state-dict.js';

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
  return { manifest, chunks: chunksFrom(model, manifest, kept), close: () => model.close?.() };
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
  return { manifest, stored: model.stored, chunks: chunksFrom(model, manifest, kept), close: () => model.close?.() };
}

function chunksFrom(model: StateDict, manifest: Manifest, kept: readonly number[]): StateDict['chunks'] {
  const homes = kept.map((index) => ({ model, index }));
  return (range) => gatheredChunks(manifest, homes, range);
}

/** The tensors of `model`, those that `other` has too from there; both raw, with the same shapes. Lazy. */
export function replacedBy(model: StateDict, other: StateDict): StateDict {
  const places = new Map(other.manifest.tensors.map(({ name }, index) => [name, index]));
  const homes = model.manifest.tensors.map(({ name }, index) => {
    const place = places.get(name);
    return place === undefined ? { model, index } : { model: other, index: place };
  });
  return { manifest: model.manifest, chunks: (range) => gatheredChunks(model.manifest, homes, range), close: () => model.close?.() };
}
