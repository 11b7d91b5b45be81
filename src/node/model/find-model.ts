// Finds the model that a person names: a file, a folder, a place in the Hugging Face cache, or a name
// on the hub. Every command that takes a model asks here.
import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { CodecTable } from '../../codec/codec.js';
import { openModelWeights } from '../../codec/model-file.js';
import { FedStreamError } from '../../core/errors.js';
import type { Folder } from '../../core/storage.js';
import type { ChunkMemory } from '../../tensor/chunk-memory.js';
import { findWeights, type Weights, weightsNamed } from '../../tensor/model-weights.js';
import type { StateDict } from '../../tensor/state-dict.js';
import { nodeFolder } from '../storage/node-folder.js';
import { cachedModel, hubCache, hubName, snapshotOf } from './hub-cache.js';
import { downloadModel } from './hub-download.js';
import type { Downloading } from './hub-file.js';

/** A model on this machine. */
export interface ModelPlace {
  /** The folder that it lies in, absolute. */
  readonly path: string;
  /** The same folder for reading; links in it are followed. */
  readonly folder: Folder;
  readonly weights: Weights;
  /** True if a file was named, and so nothing is said about what lies beside it. */
  readonly isFile: boolean;
}

/** Options of looking for a model. */
export interface FindModelOptions {
  /** The variant of a name like `model.fp16.safetensors`. */
  readonly variant?: string | undefined;
  /** Hears of choices that nobody asked for, and of downloads. */
  readonly onNote?: ((text: string) => void) | undefined;
  readonly environment?: NodeJS.ProcessEnv;
  /** Names without `hf://` are looked up on the hub too, if the cache has no such model. */
  readonly download?: boolean;
  readonly downloading?: Downloading | undefined;
}

/**
 * The place of a model. Throws `not-found` where there is none of that name, `bad-model` where
 * nobody can say which weights are meant; and what `downloadModel` throws.
 */
export async function findModel(pathOrName: string, options: FindModelOptions = {}): Promise<ModelPlace> {
  const { environment = process.env } = options;
  if (!pathOrName.startsWith('hf://') && existsSync(pathOrName)) return placeOf(resolve(pathOrName), pathOrName, options);
  const model = hubName(pathOrName);
  if (!model) throw new FedStreamError('not-found', `there is no model at ${pathOrName}`);
  const cached = cachedModel(model, environment);
  if (cached !== undefined) {
    const place = await placeOf(cached, cached, options).catch((error: unknown) => error as FedStreamError);
    // A cache may hold the configuration alone, or an older choice of files.
    if (!(place instanceof Error)) return place;
    if (!mayDownload(pathOrName, options)) throw place;
  }
  if (!mayDownload(pathOrName, options))
    throw new FedStreamError(
      'not-found',
      `there is no model at ${pathOrName}, nor one of that name in ${hubCache(environment)}; hf://${model.name} fetches it`,
    );
  options.onNote?.(`${pathOrName} is not on this machine; it is fetched from the hub`);
  const path = await downloadModel(model, { variant: options.variant, environment, ...options.downloading });
  return placeOf(path, path, options);
}

function mayDownload(name: string, { download = false }: FindModelOptions): boolean {
  return download || name.startsWith('hf://');
}

/** `label` is the same path as the person wrote it, for messages. */
async function placeOf(path: string, label: string, { variant, onNote }: FindModelOptions): Promise<ModelPlace> {
  const snapshot = snapshotOf(path);
  if (snapshot === undefined && !statSync(path).isDirectory()) {
    const folder = nodeFolder(dirname(label), { followLinks: true });
    if (path.endsWith('.json') && !basename(path).includes('.index.'))
      throw new FedStreamError('bad-model', `${label} has no weights; give the folder that it lies in, or the file with the weights`);
    return { path: dirname(path), folder, weights: weightsNamed(basename(path)), isFile: true };
  }
  const folder = nodeFolder(snapshot ?? label, { followLinks: true });
  return { path: snapshot ?? path, folder, weights: await findWeights(folder, { variant, onNote }), isFile: false };
}

/** Opens a model that was found, in any layout; coded tensors keep their encodings. */
export function openPlace({ folder, weights }: ModelPlace, codecs: CodecTable, memory?: ChunkMemory): Promise<StateDict> {
  return openModelWeights(folder, weights, codecs, memory);
}

/** A path that leads to exactly this model, for another process. */
export function pathOfPlace({ path, weights }: ModelPlace): string {
  return weights.kind === 'shards' ? path : join(path, weights.name);
}
