// Opens a model in any of the layouts that FedStream reads.
import type { Folder } from '../core/storage.js';
import type { ChunkMemory } from '../tensor/chunk-memory.js';
import { ggufModel, openGguf } from '../tensor/gguf/gguf-file.js';
import { openWeights } from '../tensor/model-folder.js';
import { findWeights, kindOf, type Weights } from '../tensor/model-weights.js';
import { tensorFileModel } from '../tensor/safetensors.js';
import type { StateDict } from '../tensor/state-dict.js';
import { openTensorFile } from '../tensor/tensor-file.js';
import { hasQuantState } from './bitsandbytes-file.js';
import { bitsandbytesModel } from './bitsandbytes-reader.js';
import type { CodecTable } from './codec.js';
import { codedFileModel, MANIFEST_KEY } from './coded-file.js';

/**
 * Opens one file in any layout: plain safetensors, coded, bitsandbytes, or GGUF, whatever its name.
 * Coded tensors keep their encodings; those of GGUF are in the table of `withGgufCodecs`.
 */
export async function openModelFile(folder: Folder, name: string, codecs: CodecTable, memory?: ChunkMemory): Promise<StateDict> {
  if ((await kindOf(folder, name)).name === 'gguf') return ggufModel(await openGguf(folder, name));
  const file = await openTensorFile(folder, name);
  try {
    if (Object.hasOwn(file.metadata, MANIFEST_KEY)) return await codedFileModel(file, codecs, memory);
    if (hasQuantState(file.tensors)) return await bitsandbytesModel(file, codecs);
    return tensorFileModel(file, memory ? { memory } : {});
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Opens the weights of a folder: one file in any layout, or plain shards. */
export async function openModelWeights(folder: Folder, weights: Weights, codecs: CodecTable, memory?: ChunkMemory): Promise<StateDict> {
  if (weights.kind === 'file' || weights.kind === 'gguf') return openModelFile(folder, weights.name, codecs, memory);
  return openWeights(folder, weights, memory ? { memory } : {});
}

/** Opens the model of a folder, in the choice that `findWeights` makes. */
export async function openModelFolder(folder: Folder, codecs: CodecTable, memory?: ChunkMemory): Promise<StateDict> {
  return openModelWeights(folder, await findWeights(folder), codecs, memory);
}
