// Models on the command line: a safetensors file or a folder, given by its path.
import { statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { CodecTable } from '../codec/codec.js';
import { openModelFile, openModelFolder } from '../codec/model-file.js';
import { FedStreamError } from '../core/errors.js';
import type { Folder } from '../core/storage.js';
import { nodeFolder } from '../node/storage/node-folder.js';
import type { ChunkMemory } from '../tensor/chunk-memory.js';
import { MODEL_FILE } from '../tensor/model-folder.js';
import type { StateDict } from '../tensor/state-dict.js';

/** Opens the model at a path, in whichever layout it is; `not-found` where there is nothing. */
export async function openModelPath(path: string, codecs: CodecTable, memory?: ChunkMemory): Promise<StateDict> {
  if (isFolder(path)) return openModelFolder(nodeFolder(path, { followLinks: true }), codecs, memory);
  return openModelFile(nodeFolder(dirname(path), { followLinks: true }), basename(path), codecs, memory);
}

/** Where a model is written: a file that ends in `.safetensors`, or `model.safetensors` in a folder. */
export function modelTarget(path: string): { folder: Folder; name: string } {
  return path.endsWith('.safetensors')
    ? { folder: nodeFolder(dirname(path)), name: basename(path) }
    : { folder: nodeFolder(path), name: MODEL_FILE };
}

export function isFolder(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) throw new FedStreamError('not-found', `there is no model at ${path}`);
  return found.isDirectory();
}
