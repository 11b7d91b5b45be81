// Finds the models that a site already has: folders, or names in the Hugging Face cache.
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { FedStreamError } from '../../core/errors.js';
import type { Base } from '../../site/find-base.js';
import { openModel } from '../../tensor/model-folder.js';
import { nodeFolder } from '../storage/node-folder.js';

const HUB_NAME = /^[A-Za-z0-9][\w.-]*\/[\w.-]+$/;

/**
 * Makes a base of a folder, or of a model's name in the cache; throws `bad-argument` if there is
 * neither. Nothing is read yet.
 */
export function folderBase(pathOrName: string, environment: NodeJS.ProcessEnv = process.env): Base {
  const path = existsSync(pathOrName) ? resolve(pathOrName) : cachedModel(pathOrName, environment);
  if (path === undefined) {
    const where = HUB_NAME.test(pathOrName) ? `, nor a model of that name in ${hubCache(environment)}` : '';
    throw new FedStreamError('bad-argument', `--base ${pathOrName}: there is no such folder${where}`);
  }
  return { label: path, stays: true, open: () => openModel(nodeFolder(path, { followLinks: true })) };
}

/** The cache as huggingface_hub finds it: HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME. */
function hubCache({ HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME }: NodeJS.ProcessEnv): string {
  return HF_HUB_CACHE ?? join(HF_HOME ?? join(XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'huggingface'), 'hub');
}

/** The snapshot that `main` points to. */
function cachedModel(name: string, environment: NodeJS.ProcessEnv): string | undefined {
  if (!HUB_NAME.test(name)) return undefined;
  const folder = join(hubCache(environment), `models--${name.replace('/', '--')}`);
  const main = join(folder, 'refs', 'main');
  if (!existsSync(main)) return undefined;
  const snapshot = join(folder, 'snapshots', readFileSync(main, 'utf8').trim());
  return existsSync(snapshot) ? snapshot : undefined;
}
