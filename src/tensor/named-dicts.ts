// Joins named state dicts into one, since a message has one stream and one spool, and splits them.
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';
import { chunkCount } from './chunks.js';
import { checkExtraNames, EXTRA_NAME, MAX_EXTRAS, MODEL_NAME } from './extra-names.js';
import type { Manifest, TensorEntry } from './manifest.js';
import type { Chunk, ChunkRange, StateDict } from './state-dict.js';

/** State dicts by name. */
export type NamedDicts = Readonly<Record<string, StateDict>>;

/** The key in the metadata of a joined manifest. */
const KEY = 'fedstream.dicts';

const partsSchema = z
  .array(z.strictObject({ name: z.string().regex(EXTRA_NAME), tensors: z.int().min(0), metadata: z.record(z.string(), z.string()) }))
  .min(1)
  .max(MAX_EXTRAS + 1);

/**
 * One lazy state dict of several: the model first, under its own names, then the extras in the
 * order of their names, each tensor as `@extra/tensor`. A model alone is returned as it is. All
 * must have chunks of one size. Throws `bad-argument` for a name that is not allowed, or if chunk
 * sizes differ.
 */
export function joinDicts(dicts: NamedDicts): StateDict {
  const names = Object.keys(dicts).sort((a, b) => Number(b === MODEL_NAME) - Number(a === MODEL_NAME) || (a < b ? -1 : 1));
  checkNames(names, dicts);
  const parts = names.map((name) => ({ name, dict: dicts[name] as StateDict }));
  const first = parts[0] as (typeof parts)[number];
  if (names.length === 1 && first.name === MODEL_NAME) return first.dict;
  const tensors: TensorEntry[] = [];
  const tied: Record<string, string> = {};
  for (const { name, dict } of parts) {
    const prefix = prefixOf(name);
    for (const tensor of dict.manifest.tensors) tensors.push({ ...tensor, name: prefix + tensor.name });
    for (const [alias, target] of Object.entries(dict.manifest.tied)) tied[prefix + alias] = prefix + target;
  }
  const list = parts.map(({ name, dict: { manifest } }) => ({
    name,
    tensors: manifest.tensors.length,
    metadata: name === MODEL_NAME ? {} : manifest.metadata,
  }));
  const own = first.name === MODEL_NAME ? first.dict.manifest.metadata : {};
  const { chunkElements } = first.dict.manifest;
  const manifest: Manifest = { tensors, chunkElements, tied, metadata: { ...own, [KEY]: JSON.stringify(list) } };
  return {
    manifest,
    stored: parts.every(({ dict }) => dict.stored === true),
    chunks: (range) =>
      joinedChunks(
        manifest,
        parts.map(({ dict }) => dict),
        range,
      ),
    close: async () => {
      for (const { dict } of parts) await dict.close?.();
    },
  };
}

/**
 * The state dicts of a joined one, by name; any other state dict is returned as the model. Closing
 * one of the parts does nothing: close the joined one.
 */
export function splitDicts(joined: StateDict): NamedDicts {
  const parts = partsOf(joined.manifest);
  if (!parts) return { [MODEL_NAME]: joined };
  const found: Record<string, StateDict> = {};
  let tensor = 0;
  let chunk = 0;
  for (const { name, tensors: count, metadata } of parts) {
    const manifest = partManifest(
      joined.manifest,
      name,
      tensor,
      count,
      name === MODEL_NAME ? withoutKey(joined.manifest.metadata) : metadata,
    );
    found[name] = partOf(joined, manifest, tensor, chunk);
    tensor += count;
    chunk += chunkCount(manifest);
  }
  return found;
}

function checkNames(names: readonly string[], dicts: NamedDicts): void {
  if (names.length === 0) throw new FedStreamError('bad-argument', 'a message needs at least one state dict');
  checkExtraNames(
    names.filter((name) => name !== MODEL_NAME),
    'a message',
  );
  const { chunkElements } = (dicts[names[0] as string] as StateDict).manifest;
  for (const name of names) {
    const { manifest } = dicts[name] as StateDict;
    if (manifest.chunkElements !== chunkElements)
      throw new FedStreamError('bad-argument', `${name} has chunks of ${manifest.chunkElements} elements, ${names[0]} of ${chunkElements}`);
  }
}

function prefixOf(name: string): string {
  return name === MODEL_NAME ? '' : `@${name}/`;
}

/** The parts that the metadata lists; `bad-manifest` if they are not those of the manifest. */
function partsOf({ tensors, metadata }: Manifest): z.output<typeof partsSchema> | undefined {
  const text = Object.hasOwn(metadata, KEY) ? metadata[KEY] : undefined;
  if (text === undefined) return undefined;
  try {
    const parts = partsSchema.parse(JSON.parse(text));
    const names = new Set(parts.map(({ name }) => name));
    const total = parts.reduce((sum, part) => sum + part.tensors, 0);
    if (names.size === parts.length && total === tensors.length) return parts;
  } catch (cause) {
    throw new FedStreamError('bad-manifest', `the list of state dicts in a message cannot be read: ${text.slice(0, 80)}`, { cause });
  }
  throw new FedStreamError('bad-manifest', `the list of state dicts in a message is not that of its ${tensors.length} tensors`);
}

function withoutKey({ [KEY]: _, ...metadata }: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return metadata;
}

function partManifest(joined: Manifest, name: string, first: number, count: number, metadata: Readonly<Record<string, string>>): Manifest {
  const prefix = prefixOf(name);
  const tensors = joined.tensors.slice(first, first + count).map((tensor) => {
    if (!tensor.name.startsWith(prefix) || tensor.name.length === prefix.length)
      throw new FedStreamError('bad-manifest', `the tensor ${tensor.name} stands among those of ${name}`);
    return { ...tensor, name: tensor.name.slice(prefix.length) };
  });
  const names = new Set(tensors.map((tensor) => prefix + tensor.name));
  const tied = Object.entries(joined.tied)
    .filter(([alias, target]) => names.has(target) && alias.startsWith(prefix))
    .map(([alias, target]) => [alias.slice(prefix.length), target.slice(prefix.length)]);
  return { tensors, chunkElements: joined.chunkElements, tied: Object.fromEntries(tied), metadata };
}

function partOf(joined: StateDict, manifest: Manifest, firstTensor: number, firstChunk: number): StateDict {
  const all = { first: 0, end: chunkCount(manifest) };
  async function* chunks(range: ChunkRange = all): AsyncGenerator<Chunk> {
    const end = Math.min(range.end, all.end);
    if (range.first >= end) return;
    for await (const chunk of joined.chunks({ first: range.first + firstChunk, end: end + firstChunk })) {
      const tensorIndex = chunk.tensorIndex - firstTensor;
      yield { ...chunk, tensor: manifest.tensors[tensorIndex] as TensorEntry, tensorIndex, index: chunk.index - firstChunk };
    }
  }
  return { manifest, stored: joined.stored, chunks };
}

async function* joinedChunks(manifest: Manifest, dicts: readonly StateDict[], range?: ChunkRange): AsyncGenerator<Chunk> {
  const { first, end } = range ?? { first: 0, end: Number.POSITIVE_INFINITY };
  let firstTensor = 0;
  let firstChunk = 0;
  for (const dict of dicts) {
    const count = chunkCount(dict.manifest);
    const part = { first: Math.max(first - firstChunk, 0), end: Math.min(end - firstChunk, count) };
    if (part.first < part.end) {
      for await (const chunk of dict.chunks(part)) {
        const tensorIndex = chunk.tensorIndex + firstTensor;
        yield { ...chunk, tensor: manifest.tensors[tensorIndex] as TensorEntry, tensorIndex, index: chunk.index + firstChunk };
      }
    }
    firstTensor += dict.manifest.tensors.length;
    firstChunk += count;
  }
}
