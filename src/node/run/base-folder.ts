// The models that a site already has: files, folders, or names in the Hugging Face cache.
import { resolve } from 'node:path';
import { asFedStreamError, FedStreamError } from '../../core/errors.js';
import type { Base } from '../../site/find-base.js';
import { findModel } from '../model/find-model.js';
import { openStartModel } from '../model/start-model.js';

/**
 * Makes a base of a file, a folder, or a model's name in the cache (with `hf://`, on the hub);
 * rejects with `bad-argument` if there is none. No weights are read yet.
 */
export async function folderBase(pathOrName: string, environment: NodeJS.ProcessEnv = process.env): Promise<Base> {
  const place = await findModel(pathOrName, { environment }).catch((cause: unknown) => {
    const { message, code } = asFedStreamError(cause);
    throw new FedStreamError(code === 'not-found' ? 'bad-argument' : code, `--base ${pathOrName}: ${message}`, { cause });
  });
  return { label: resolve(place.path), stays: true, open: () => openStartModel(place) };
}
