// Models that the command line names: where they are read, and where they are written.
import { basename, dirname } from 'node:path';
import { Option } from 'commander';
import type { Folder } from '../core/storage.js';
import { findModel, type ModelPlace } from '../node/model/find-model.js';
import { nodeFolder } from '../node/storage/node-folder.js';
import { MODEL_FILE } from '../tensor/model-weights.js';
import { byteProgress } from './byte-progress.js';
import { say } from './say.js';

/**
 * The place of a model that a command was given: a file, a folder, a place in the Hugging Face
 * cache, or a name on the hub, which is fetched. Rejects as `findModel` does.
 */
export function modelPlace(pathOrName: string, variant?: string): Promise<ModelPlace> {
  return findModel(pathOrName, { variant, download: true, onNote: say, downloading: { onFile: byteProgress } });
}

/** The option that chooses among `model.fp16.safetensors` and its like. */
export function variantOption(): Option {
  return new Option('--variant <name>', 'the variant of a folder with several, as fp16 of model.fp16.safetensors');
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
