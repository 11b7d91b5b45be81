// Opens models that the command line names by path: a safetensors file or a folder.
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

/** Opens the model at a path, in any layout; throws `not-found` if there is nothing. */
export async function openModelPath(path: string, codecs: CodecTable, memory?: ChunkMemory): Promise<StateDict> {
  if (isFolder(path)) return openModelFolder(nodeFolder(path, { followLinks: true }), codecs, memory);
  return openModelFile(nodeFolder(dirname(path), { followLinks: true }), basename(path), codecs, memory);
}

/**
 * The place that a model is written to: a file if the path ends in `.safetensors`, else
 * `model.safetensors` in a folder.
 */
export function modelTarget(path: string): { folder: Folder; name: string } {
  return path.endsWith('.safetensors')
    ? { folder: nodeFolder(dirname(path), { shared: true }), name: basename(path) }
    : { folder: nodeFolder(path, { shared: true }), name: MODEL_FILE };
}

/** True for a folder, false for a file; throws `not-found` if there is neither. */
export function isFolder(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) throw new FedStreamError('not-found', `there is no model at ${path}`);
  return found.isDirectory();
}
