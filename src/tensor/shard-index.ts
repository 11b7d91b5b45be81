// The index of a model in shards (`model.safetensors.index.json`): the file of each tensor.
import { FedStreamError } from '../core/errors.js';
import { readKind } from '../core/file-kind.js';
import { JsonMembers, SPREAD } from '../core/json-members.js';
import type { Folder, ReadableFile } from '../core/storage.js';
import { checkName } from '../core/storage-name.js';
import { textPieces } from '../core/text-pieces.js';

/** The index of a hundred thousand tensors has some 10 MB. */
const MAX_INDEX_BYTES = 64 * 1024 * 1024;
const WEIGHT_MAP = 'weight_map';
/** Whatever stands beside the map; it is not used. */
const MAX_DEPTH = 16;

/**
 * The shard of each tensor, by name, in the order of the file. Throws `bad-model` where the file is
 * no index, or names a file outside of the folder.
 */
export async function readShardIndex(folder: Folder, name: string): Promise<ReadonlyMap<string, string>> {
  const file = await folder.open(name);
  const shards = new Map<string, string>();
  let found = false;
  const json = new JsonMembers({
    spread: [WEIGHT_MAP],
    maxDepth: MAX_DEPTH,
    onMember: (member, value) => {
      found ||= member === WEIGHT_MAP && value === SPREAD;
    },
    onInner: (_, tensor, shard) => {
      if (tensor === '' || typeof shard !== 'string' || shard === '') throw new Error('weight_map names no file for each tensor');
      shards.set(tensor, checkName(shard));
    },
  });
  try {
    await checkText(file);
    if (file.sizeBytes > MAX_INDEX_BYTES) throw new Error(`it has ${file.sizeBytes} bytes; at most ${MAX_INDEX_BYTES} are read`);
    for await (const piece of textPieces(file, 0, file.sizeBytes)) json.push(piece);
    json.finish();
    if (!found) throw new Error('it has no weight_map');
    return shards;
  } catch (cause) {
    throw new FedStreamError('bad-model', `${folder.label}/${name} is not an index of shards: ${(cause as Error).message}`, { cause });
  } finally {
    await file.close();
  }
}

/** Refuses a pointer or a page in the place of the index. */
async function checkText(file: ReadableFile): Promise<void> {
  const { name, looksLike } = await readKind(file);
  if (name !== 'json' && name !== 'unknown' && name !== 'text') throw new Error(`it is ${looksLike}; fetch the model again`);
}
