// The lazy state dict: a manifest, and on demand its bytes in chunks.
import type { Manifest, TensorEntry } from './manifest.js';

/** A run of whole chunks, counted over the manifest: `first` is the first, `end` the one after the last. */
export interface ChunkRange {
  readonly first: number;
  readonly end: number;
}

/** One chunk of one tensor, coded as its tensor's encoding says. */
export interface Chunk {
  readonly tensor: TensorEntry;
  /** Position in `manifest.tensors`. */
  readonly tensorIndex: number;
  /** Position among all chunks of the manifest. */
  readonly index: number;
  /** First element of the chunk in the tensor, flattened in C order. */
  readonly firstElement: number;
  readonly elements: number;
  /** Borrowed: valid until the next chunk is asked for. Whoever keeps it copies it; nobody but its owner writes to it. */
  readonly bytes: Uint8Array;
}

/**
 * A model that nobody holds. `chunks` gives the bytes in manifest order, and may be called again (each call reads anew).
 * A filter is a function from one to another.
 */
export interface StateDict {
  readonly manifest: Manifest;
  chunks(range?: ChunkRange): AsyncIterable<Chunk>;
  /** Set where the bytes lie as they are in a file that nobody changes: reading them again costs no work, and gives the same. */
  readonly stored?: boolean;
  /** Lets files go; a state dict over memory has none. */
  close?(): void | Promise<void>;
}

/** The same bytes under another manifest of as many tensors and chunks. */
export function withManifest(model: StateDict, manifest: Manifest): StateDict {
  async function* chunks(range?: ChunkRange): AsyncGenerator<Chunk> {
    for await (const chunk of model.chunks(range)) yield { ...chunk, tensor: manifest.tensors[chunk.tensorIndex] as TensorEntry };
  }
  return { manifest, stored: model.stored, chunks, close: () => model.close?.() };
}

/** A state dict without its bytes: shows what a lazy function makes of a manifest. */
export function bytesless(manifest: Manifest): StateDict {
  return { manifest, chunks: () => noChunks() };
}

async function* noChunks(): AsyncGenerator<Chunk> {}
