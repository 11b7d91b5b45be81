// The cache of Hugging Face on disk: where it lies, and which snapshot of a model is meant.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { FedStreamError } from '../../core/errors.js';

/** A model on the hub: `org/name`, and the branch, tag or commit that is wanted. */
export interface HubName {
  readonly name: string;
  readonly revision: string;
}

const NAME = /^(hf:\/\/)?([A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95})(?:@([A-Za-z0-9][\w.-]{0,127}))?$/;

/** The model that a text names: `org/name`, `hf://org/name`, `hf://org/name@revision`. */
export function hubName(text: string): HubName | undefined {
  const [, , name, revision = 'main'] = NAME.exec(text) ?? [];
  return name === undefined ? undefined : { name, revision };
}

/** The cache as huggingface_hub finds it: HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME. */
export function hubCache(environment: NodeJS.ProcessEnv): string {
  return environment.HF_HUB_CACHE ?? join(hubHome(environment), 'hub');
}

/** The folder of Hugging Face's own settings. */
export function hubHome({ HF_HOME, XDG_CACHE_HOME }: NodeJS.ProcessEnv): string {
  return HF_HOME ?? join(XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'huggingface');
}

/** The folder of a model in a cache. */
export function cachedFolder(cache: string, { name }: HubName): string {
  return join(cache, `models--${name.replace('/', '--')}`);
}

/** The snapshot of a model in the cache; undefined where it has none of that revision. */
export function cachedModel(model: HubName, environment: NodeJS.ProcessEnv): string | undefined {
  const folder = cachedFolder(hubCache(environment), model);
  const snapshot = join(folder, 'snapshots', revisionOf(join(folder, 'refs', model.revision)) ?? model.revision);
  return existsSync(snapshot) ? snapshot : undefined;
}

/**
 * The snapshot that a folder or a file of the cache stands for: the model's folder, its `refs`,
 * `refs/main`, `snapshots`, or the cache itself if it has one model. Undefined where the path is
 * none of these; throws `bad-model` where nobody can say which is meant.
 */
export function snapshotOf(path: string): string | undefined {
  const isFolder = statSync(path).isDirectory();
  if (!isFolder) return basename(dirname(path)) === 'refs' ? snapshotOfReference(dirname(dirname(path)), basename(path)) : undefined;
  if (isModelFolder(path)) return onlySnapshot(path);
  if ((basename(path) === 'snapshots' || basename(path) === 'refs') && isModelFolder(dirname(path))) return onlySnapshot(dirname(path));
  const models = readdirSync(path).filter((name) => name.startsWith('models--') && isModelFolder(join(path, name)));
  if (models.length === 1) return onlySnapshot(join(path, models[0] as string));
  if (models.length > 1) throw several(path, 'models', models);
  return undefined;
}

function isModelFolder(path: string): boolean {
  return existsSync(join(path, 'snapshots')) && (existsSync(join(path, 'refs')) || existsSync(join(path, 'blobs')));
}

function snapshotOfReference(folder: string, reference: string): string | undefined {
  if (!isModelFolder(folder)) return undefined;
  const revision = revisionOf(join(folder, 'refs', reference));
  const snapshot = revision === undefined ? undefined : join(folder, 'snapshots', revision);
  if (snapshot !== undefined && existsSync(snapshot)) return snapshot;
  throw new FedStreamError('bad-model', `${join(folder, 'refs', reference)} names a snapshot that is not there; fetch the model again`);
}

/** The snapshot that `main` names, or the only one. */
function onlySnapshot(folder: string): string {
  if (existsSync(join(folder, 'refs', 'main'))) return snapshotOfReference(folder, 'main') as string;
  const snapshots = readdirSync(join(folder, 'snapshots'));
  if (snapshots.length === 1) return join(folder, 'snapshots', snapshots[0] as string);
  if (snapshots.length === 0) throw new FedStreamError('bad-model', `${folder} has no snapshot; fetch the model again`);
  throw several(folder, 'snapshots', snapshots);
}

function several(path: string, what: string, names: readonly string[]): FedStreamError {
  return new FedStreamError('bad-model', `${path} has ${names.length} ${what}: ${names.slice(0, 8).join(', ')}; give the path of one`);
}

/** The commit that a reference of the cache names; a plain name, so that it cannot lead elsewhere. */
function revisionOf(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found?.isFile() || found.size > 256) return undefined;
  const revision = readFileSync(path, 'utf8').trim();
  return /^[A-Za-z0-9][\w.-]*$/.test(revision) ? revision : undefined;
}
