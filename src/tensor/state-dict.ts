// The lazy state dict: a manifest, and its bytes in chunks on demand.
import type { Manifest, TensorEntry } from './manifest.js';

/**
 * A range of whole chunks, counted over the manifest: `first` is the first, `end` the one after the
 * last.
 */
export interface ChunkRange {
  readonly first: number;
  readonly end: number;
}

/** One chunk of one tensor, coded by its tensor's encoding. */
export interface Chunk {
  readonly tensor: TensorEntry;
  /** Position in `manifest.tensors`. */
  readonly tensorIndex: number;
  /** Position among all chunks of the manifest. */
  readonly index: number;
  /** First element of the chunk in the tensor, flattened in C order. */
  readonly firstElement: number;
  readonly elements: number;
  /**
   * Borrowed: valid until the next chunk is asked for. Callers that keep the bytes copy them; only
   * their owner writes to them.
   */
  readonly bytes: Uint8Array;
}

/**
 * A model that nobody holds in memory. `chunks` yields the bytes in manifest order, and may be
 * called again (each call reads anew). A filter is a function from one state dict to another.
 */
export interface StateDict {
  readonly manifest: Manifest;
  chunks(range?: ChunkRange): AsyncIterable<Chunk>;
  /**
   * Set if the bytes lie as they are in a file that nobody changes: reading them again costs no
   * work, and gives the same.
   */
  readonly stored?: boolean;
  /**
   * Fills `into` with the tensors' bytes from `position` on: those of all chunks, one behind the
   * other. Only where they lie so in one file and `stored` is set, for a reader that needs no chunks.
   */
  readAt?(into: Uint8Array, position: number): void | Promise<void>;
  /** Closes the files; a state dict over memory has none. */
  close?(): void | Promise<void>;
}

/** The same bytes under another manifest, which has as many tensors and chunks. */
export function withManifest(model: StateDict, manifest: Manifest): StateDict {
  async function* chunks(range?: ChunkRange): AsyncGenerator<Chunk> {
    for await (const chunk of model.chunks(range)) yield { ...chunk, tensor: manifest.tensors[chunk.tensorIndex] as TensorEntry };
  }
  return { manifest, stored: model.stored, readAt: model.readAt, chunks, close: () => model.close?.() };
}

/** A state dict without its bytes, to find out what a lazy function makes of a manifest. */
export function bytesless(manifest: Manifest): StateDict {
  return { manifest, chunks: () => noChunks() };
}

async function* noChunks(): AsyncGenerator<Chunk> {}
