// Opens a model in any of the layouts that FedStream reads.
import type { Folder } from '../core/storage.js';
import type { ChunkMemory } from '../tensor/chunk-memory.js';
import { MODEL_FILE, openModel } from '../tensor/model-folder.js';
import { tensorFileModel } from '../tensor/safetensors.js';
import type { StateDict } from '../tensor/state-dict.js';
import { openTensorFile } from '../tensor/tensor-file.js';
import { hasQuantState } from './bitsandbytes-file.js';
import { bitsandbytesModel } from './bitsandbytes-reader.js';
import type { CodecTable } from './codec.js';
import { codedFileModel, MANIFEST_KEY } from './coded-file.js';

/**
 * Opens one file in any layout: plain safetensors, coded, or bitsandbytes. Coded tensors keep their
 * encodings.
 */
export async function openModelFile(folder: Folder, name: string, codecs: CodecTable, memory?: ChunkMemory): Promise<StateDict> {
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

/** Opens the model of a folder: `model.safetensors` in any layout, or plain shards. */
export async function openModelFolder(folder: Folder, codecs: CodecTable, memory?: ChunkMemory): Promise<StateDict> {
  if ((await folder.sizeBytes(MODEL_FILE)) !== undefined) return openModelFile(folder, MODEL_FILE, codecs, memory);
  return openModel(folder, memory ? { memory } : {});
}
