// Fetches a model from the Hugging Face hub into its cache: the texts and the weights that are read
// here, file by file, each straight to the disk.
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { BUDGETS } from '../../core/budgets.js';
import { FedStreamError } from '../../core/errors.js';
import type { Folder } from '../../core/storage.js';
import { findWeights, type Weights } from '../../tensor/model-weights.js';
import { readShardIndex } from '../../tensor/shard-index.js';
import { needPackage } from '../drivers/need-package.js';
import { nodeFolder } from '../storage/node-folder.js';
import { type HubAccess, hubAccess, hubFailure } from './hub-access.js';
import { cachedFolder, type HubName, hubCache } from './hub-cache.js';
import { type Downloading, fetchBlob, type HubFile } from './hub-file.js';

interface DownloadOptions extends Downloading {
  readonly variant?: string | undefined;
  readonly environment: NodeJS.ProcessEnv;
}

/** The small files of a model folder that are fetched beside the weights. */
const TEXT = /^[\w.-]+\.(?:json|jinja|txt|model|md)$/;
const MAX_TEXT_BYTES = 64 * 2 ** 20;

/**
 * Fetches a model and returns the path of its snapshot. What was fetched before is not fetched
 * again, and a file that was cut off goes on where it ended. Throws `unsupported` without the
 * package `@huggingface/hub`, `bad-model` for a model that is gated, private or has no weights that
 * are read here, `not-found`, `io`, or `digest` for a file that came out wrong.
 */
export async function downloadModel(model: HubName, options: DownloadOptions): Promise<string> {
  const { environment, variant } = options;
  const what = `hf://${model.name}`;
  if (/^(?:1|true|yes|on)$/i.test(environment.HF_HUB_OFFLINE ?? ''))
    throw new FedStreamError('not-found', `${what} is not in ${hubCache(environment)}, and HF_HUB_OFFLINE forbids to fetch it`);
  const hub = await needPackage('@huggingface/hub', what, () => import('@huggingface/hub'));
  const access = hubAccess(environment, options.signal);
  const repository = cachedFolder(hubCache(environment), model);
  try {
    const commit = await commitOf(hub, model, access);
    const files = await filesOf(hub, model, commit, access);
    const snapshot = join(repository, 'snapshots', commit);
    const take = (name: string) =>
      fetchInto(hub, { model, commit, repository, snapshot, file: files.get(name) as HubFile, access, options });
    const weights = await findWeights(listing(files, what), { variant });
    for (const { path, size } of files.values())
      if (TEXT.test(path) && size <= MAX_TEXT_BYTES && !path.endsWith('.index.json')) await take(path);
    for (const name of await weightFiles(weights, take, snapshot)) {
      if (!files.has(name)) throw new FedStreamError('bad-model', `${what} lacks the shard ${name} that its index names`);
      await take(name);
    }
    mkdirSync(join(repository, 'refs'), { recursive: true });
    writeFileSync(join(repository, 'refs', model.revision), commit);
    return snapshot;
  } catch (error) {
    throw hubFailure(error, model, access);
  }
}

type Hub = typeof import('@huggingface/hub');

async function commitOf(hub: Hub, { name, revision }: HubName, access: HubAccess): Promise<string> {
  const { sha } = await hub.modelInfo({ name, revision, additionalFields: ['sha'], ...access.parameters });
  if (!/^[0-9a-f]{40}$/.test(sha)) throw new FedStreamError('bad-model', `hf://${name}: the hub names no commit for ${revision}`);
  return sha;
}

async function filesOf(hub: Hub, { name }: HubName, revision: string, access: HubAccess): Promise<Map<string, HubFile>> {
  const files = new Map<string, HubFile>();
  for await (const { type, path, size, oid, lfs } of hub.listFiles({ repo: { type: 'model', name }, revision, ...access.parameters })) {
    if (type !== 'file' || path.includes('/') || !/^[\w][\w .@+-]*$/.test(path)) continue;
    if (files.size >= BUDGETS.hubFiles.limit)
      throw new FedStreamError('limit', `hf://${name} has more than the ${BUDGETS.hubFiles.limit} files that are looked at`);
    const blob = lfs?.oid ?? oid ?? '';
    if (!/^[0-9a-f]{40,64}$/.test(blob) || !Number.isSafeInteger(size) || size < 0) continue;
    files.set(path, { path, size, blob, sha256: lfs?.oid });
  }
  return files;
}

/** The files as a folder whose contents are not there: enough to choose the weights. */
function listing(files: ReadonlyMap<string, HubFile>, label: string): Folder {
  const absent = async (): Promise<never> => {
    throw new FedStreamError('bad-model', `${label} has weights in another format only; choose a model with safetensors or GGUF`);
  };
  return {
    label,
    open: absent,
    create: absent,
    rename: absent,
    remove: absent,
    sizeBytes: async (name) => files.get(name)?.size,
    list: async (name) => (name === undefined ? [...files.keys()].sort() : []),
    folder: () => listing(new Map(), label),
  };
}

/** The names of all files of the weights; an index is fetched to know them. */
async function weightFiles(weights: Weights, take: (name: string) => Promise<void>, snapshot: string): Promise<readonly string[]> {
  if (weights.kind === 'shards') return weights.names;
  if (weights.kind !== 'index') return [weights.name];
  await take(weights.name);
  return [...new Set((await readShardIndex(nodeFolder(snapshot, { followLinks: true }), weights.name)).values())].sort();
}

interface Fetching {
  readonly model: HubName;
  readonly commit: string;
  readonly repository: string;
  readonly snapshot: string;
  readonly file: HubFile;
  readonly access: HubAccess;
  readonly options: DownloadOptions;
}

/** Fetches a file into `blobs` and links it into the snapshot, as huggingface_hub does. */
async function fetchInto(hub: Hub, { model, commit, repository, snapshot, file, access, options }: Fetching): Promise<void> {
  const blob = join(repository, 'blobs', file.blob);
  await fetchBlob(blob, file, {
    signal: options.signal,
    onFile: options.onFile,
    open: async () => {
      const found = await hub.downloadFile({
        repo: { type: 'model', name: model.name },
        path: file.path,
        revision: commit,
        ...access.parameters,
      });
      if (!found) throw new FedStreamError('not-found', `hf://${model.name} has no file ${file.path} any more`);
      return found;
    },
  });
  const link = join(snapshot, file.path);
  mkdirSync(dirname(link), { recursive: true });
  const beside = `${link}.link`;
  symlinkSync(relative(dirname(link), blob), beside);
  renameSync(beside, link);
}
