// Chunks coded into a temporary file, because their sizes are needed before their bytes.
import type { Folder } from '../core/storage.js';
import type { Chunk, StateDict } from '../tensor/state-dict.js';
import { SizeNotes } from './chunk-sizes.js';
import type { CodecTable } from './codec.js';
import { type ChunkSizes, type Layout, layoutOf } from './layout.js';

/** Coded chunks in a file, and their sizes. */
export interface SpilledChunks {
  readonly sizes: ChunkSizes;
  /** The same chunks, to be read once from the first to the last. */
  readonly model: StateDict;
  /** Closes and removes the file. */
  remove(): Promise<void>;
}

/** Codes a model once, into the file `name`. */
export async function spillChunks(folder: Folder, name: string, model: StateDict, codecs: CodecTable): Promise<SpilledChunks> {
  const { manifest } = model;
  const notes = new SizeNotes(manifest, codecs, `${folder.label}/${name}`);
  const remove = (): Promise<void> => folder.remove(name);
  const file = await folder.create(name);
  let position = 0;
  try {
    for await (const chunk of model.chunks()) {
      notes.note(chunk);
      await file.write(chunk.bytes, position);
      position += chunk.bytes.length;
    }
    await file.close();
  } catch (error) {
    await file.close();
    await remove();
    throw error;
  }
  const { sizes } = notes;
  return { sizes, model: { manifest, chunks: () => spilled(folder, name, layoutOf(manifest, codecs, sizes)) }, remove };
}

async function* spilled(folder: Folder, name: string, layout: Layout): AsyncGenerator<Chunk> {
  const file = await folder.open(name);
  let buffer = new Uint8Array(0);
  let position = 0;
  try {
    for (const { offset: _, bytes: size, ...place } of layout.places()) {
      if (buffer.length < size) buffer = new Uint8Array(size);
      const bytes = buffer.subarray(0, size);
      await file.read(bytes, position);
      position += size;
      yield { ...place, bytes };
    }
  } finally {
    await file.close();
  }
}
