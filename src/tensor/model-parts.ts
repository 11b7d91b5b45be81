// The parts of a model that are exchanged at different times (docs/spec/streaming.md): layers
// striped over the parts, and the rest where there is least.
import { FedStreamError } from '../core/errors.js';
import { elementCount } from './dtype.js';
import { gatheredChunks, type Home } from './gathered-chunks.js';
import type { Manifest } from './manifest.js';
import { selectTensors } from './select-tensors.js';
import { bytesless, type StateDict } from './state-dict.js';

/** The names of a part's tensors. */
export type PartNames = ReadonlySet<string>;

/** The first number that stands alone in a tensor's name: its layer. */
const LAYER = /(?:^|\.)(\d+)(?:\.|$)/;

/**
 * The names of the tensors of each of `count` parts. Layer l is in part l mod `count`. Tensors of no
 * layer (embeddings, the last norm, the head) go to the part that has the fewest elements so far, the
 * largest tensor first, and of equal ones the first in the manifest. Throws `bad-job` where a part
 * would be empty.
 */
export function partsOf({ tensors }: Pick<Manifest, 'tensors'>, count: number): readonly PartNames[] {
  const parts = Array.from({ length: count }, () => ({ names: new Set<string>(), elements: 0 }));
  const add = (part: (typeof parts)[number], name: string, elements: number): void => {
    part.names.add(name);
    part.elements += elements;
  };
  const others: { name: string; elements: number }[] = [];
  for (const { name, shape } of tensors) {
    const layer = LAYER.exec(name)?.[1];
    const elements = elementCount(shape);
    if (layer === undefined) others.push({ name, elements });
    else add(parts[Number(layer) % count] as (typeof parts)[number], name, elements);
  }
  for (const { name, elements } of others.sort((a, b) => b.elements - a.elements)) {
    const least = parts.reduce((best, part) => (part.elements < best.elements ? part : best));
    add(least, name, elements);
  }
  const empty = parts.findIndex(({ names }) => names.size === 0);
  if (empty >= 0) throw new FedStreamError('bad-job', `${count} parts are too many for this model: nothing is left for part ${empty + 1}`);
  return parts.map(({ names }) => names);
}

/** The tensors of `model` that a part has, in their order. */
export function partOf(model: StateDict, names: PartNames): StateDict {
  return selectTensors(model, ({ name }) => names.has(name));
}

/** The manifest of a part, counted from 1. */
export function partManifest(manifest: Manifest, part: number, count: number): Manifest {
  const names = partsOf(manifest, count)[part - 1] as PartNames;
  return partOf(bytesless(manifest), names).manifest;
}

/** One model of all its parts, whose tensors stand in the order of the parts; closing it closes them. */
export function joinedParts(parts: readonly StateDict[]): StateDict {
  const homes: Home[] = parts.flatMap((model) => model.manifest.tensors.map((_, index) => ({ model, index })));
  const first = parts[0] as StateDict;
  const manifest: Manifest = {
    ...first.manifest,
    tensors: parts.flatMap((part) => part.manifest.tensors),
    tied: Object.assign({}, ...parts.map((part) => part.manifest.tied)),
  };
  const close = async (): Promise<void> => {
    for (const part of parts) await part.close?.();
  };
  return { manifest, chunks: (range) => gatheredChunks(manifest, homes, range), close };
}
