// Weights of a Hugging Face folder: `model.safetensors`, or shards and their index.
import { FedStreamError } from '../core/errors.js';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { dtypeBytes, elementCount } from './dtype.js';
import { gatheredChunks, type Home } from './gathered-chunks.js';
import { CHUNK_ELEMENTS, type Manifest, type TensorEntry } from './manifest.js';
import { findWeights, INDEX_FILE, MODEL_FILE, type Weights, type WeightsChoice } from './model-weights.js';
import { type OpenOptions, openSafetensors, writeSafetensors } from './safetensors.js';
import { selectTensors } from './select-tensors.js';
import { readShardIndex } from './shard-index.js';
import { missingShards } from './shard-names.js';
import type { StateDict } from './state-dict.js';
import type { WriteOptions } from './tensor-file.js';

/**
 * Opens the weights of a folder: a single file, shards or an adapter, in the choice that
 * `findWeights` makes. Throws `bad-model` if there are none or a tensor is missing.
 */
export async function openModel(folder: Folder, options: OpenOptions & WeightsChoice = {}): Promise<StateDict> {
  return openWeights(folder, await findWeights(folder, options), options);
}

/** Opens weights of safetensors files; `bad-model` for others. */
export async function openWeights(folder: Folder, weights: Weights, options: OpenOptions = {}): Promise<StateDict> {
  if (weights.kind === 'file') return openSafetensors(folder, weights.name, options);
  if (weights.kind === 'gguf')
    throw new FedStreamError(
      'bad-model',
      `${folder.label}/${weights.name} is a GGUF file; make a folder of it with \`fedstream dequantize\``,
    );
  const weightMap = weights.kind === 'index' ? await readShardIndex(folder, weights.name) : undefined;
  const names = weights.kind === 'shards' ? weights.names : [...new Set(weightMap?.values())].sort();
  if (weightMap) await checkPresent(folder, names);
  const shards: StateDict[] = [];
  try {
    for (const name of names) shards.push(await openSafetensors(folder, name, options));
    return joinShards(shards, names, weightMap ?? mapOf(shards, names, folder.label), folder.label, options);
  } catch (error) {
    for (const shard of shards) await shard.close?.();
    throw error;
  }
}

/** Before any shard is opened, so that all that are missing are named. */
async function checkPresent(folder: Folder, names: readonly string[]): Promise<void> {
  const missing: string[] = [];
  for (const name of names) if ((await folder.sizeBytes(name)) === undefined) missing.push(name);
  if (missing.length > 0) throw missingShards(missing, names.length, folder.label);
}

/** The shard of each tensor by what the shards hold. */
function mapOf(shards: readonly StateDict[], names: readonly string[], label: string): Map<string, string> {
  const map = new Map<string, string>();
  for (const [at, { manifest }] of shards.entries())
    for (const { name } of manifest.tensors) {
      const other = map.get(name);
      if (other !== undefined)
        throw new FedStreamError(
          'bad-model',
          `${label} has the tensor ${name} in ${other} and in ${names[at]}; an index must say which counts`,
        );
      map.set(name, names[at] as string);
    }
  return map;
}

function joinShards(
  shards: readonly StateDict[],
  names: readonly string[],
  weightMap: ReadonlyMap<string, string>,
  label: string,
  options: OpenOptions,
): StateDict {
  const tensors: TensorEntry[] = [];
  const homes: Home[] = [];
  const tied: Record<string, string> = {};
  for (const [at, shard] of shards.entries()) {
    for (const [index, tensor] of shard.manifest.tensors.entries()) {
      if (weightMap.get(tensor.name) !== names[at])
        throw new FedStreamError('bad-model', `${label}/${names[at]} holds ${tensor.name}, which the index does not place there`);
      tensors.push(tensor);
      homes.push({ model: shard, index });
    }
    Object.assign(tied, shard.manifest.tied);
  }
  const found = new Set(tensors.map((tensor) => tensor.name));
  for (const [name, shard] of weightMap)
    if (!found.has(name) && !Object.hasOwn(tied, name))
      throw new FedStreamError('bad-model', `${label}/${shard} lacks the tensor ${name} that the index places there`);
  const manifest: Manifest = { tensors, chunkElements: options.chunkElements ?? CHUNK_ELEMENTS, tied, metadata: {} };
  const close = async (): Promise<void> => {
    for (const shard of shards) await shard.close?.();
  };
  return { manifest, chunks: (range) => gatheredChunks(manifest, homes, range), close };
}

/** The most bytes of a shard, as Hugging Face cuts them. */
export const MAX_SHARD_BYTES = 5_000_000_000;

/**
 * Writes `model.safetensors` or, if that would be larger than a shard may be, shards and their
 * index, named as Hugging Face does.
 */
export async function writeModel(
  folder: Folder,
  model: StateDict,
  maxShardBytes = MAX_SHARD_BYTES,
  options: WriteOptions = {},
): Promise<void> {
  const shards = planShards(model.manifest, maxShardBytes);
  if (shards.length <= 1) {
    await writeSafetensors(folder, MODEL_FILE, model, options);
    return;
  }
  const weightMap: Record<string, string> = {};
  let totalBytes = 0;
  for (const [at, { first, end }] of shards.entries()) {
    const name = `model-${count(at + 1)}-of-${count(shards.length)}.safetensors`;
    const tensors = new Set(model.manifest.tensors.slice(first, end));
    for (const tensor of tensors) weightMap[tensor.name] = name;
    for (const tensor of tensors) totalBytes += dtypeBytes(tensor.dtype, elementCount(tensor.shape));
    await writeSafetensors(
      folder,
      name,
      selectTensors(model, (tensor) => tensors.has(tensor)),
      options,
    );
  }
  await writeText(folder, INDEX_FILE, `${JSON.stringify({ metadata: { total_size: totalBytes }, weight_map: weightMap }, null, 2)}\n`);
}

function planShards({ tensors }: Manifest, maxShardBytes: number): { first: number; end: number }[] {
  const shards: { first: number; end: number }[] = [];
  let bytes = 0;
  for (const [index, tensor] of tensors.entries()) {
    const size = dtypeBytes(tensor.dtype, elementCount(tensor.shape));
    const last = shards.at(-1);
    if (!last || bytes + size > maxShardBytes) {
      shards.push({ first: index, end: index + 1 });
      bytes = size;
    } else {
      last.end = index + 1;
      bytes += size;
    }
  }
  return shards;
}

function count(number: number): string {
  return String(number).padStart(5, '0');
}
