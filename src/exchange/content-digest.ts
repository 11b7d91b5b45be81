// The digest of a model's values, by which server and sites know that they hold the same model.
import type { CodecTable } from '../codec/codec.js';
import { inFloat32 } from '../codec/float32.js';
import { decodeModel } from '../codec/quantize.js';
import type { Folder } from '../core/storage.js';
import { LeafHasher } from '../stream/leaf-sums.js';
import { writeSafetensors } from '../tensor/safetensors.js';
import type { Chunk, StateDict } from '../tensor/state-dict.js';

/**
 * XXH3-128 over the leaves of the values, as float32 little-endian (other dtypes as they are),
 * tensor after tensor in the order of the manifest. It detects accidents, not forgeries: a site
 * that lies about its model spoils only its own training. Names and shapes are compared beforehand.
 */
export function contentDigest(model: StateDict, codecs: CodecTable): Promise<string> {
  return bytesDigest(decodeModel(inFloat32(model), codecs));
}

/** The same over the tensors' bytes as they lie there, in their own dtypes. */
export async function bytesDigest(model: StateDict): Promise<string> {
  const hasher = new LeafHasher();
  for await (const { bytes } of model.chunks()) hasher.update(bytes);
  return hasher.finish().digest();
}

/**
 * Writes a raw float32 model as `writeSafetensors` does, and returns its `contentDigest`, computed
 * in the same pass.
 */
export async function writeDigested(folder: Folder, name: string, model: StateDict): Promise<string> {
  const hasher = new LeafHasher();
  async function* hashed(): AsyncGenerator<Chunk> {
    for await (const chunk of model.chunks()) {
      hasher.update(chunk.bytes);
      yield chunk;
    }
  }
  await writeSafetensors(folder, name, { manifest: model.manifest, chunks: hashed }, { durable: false });
  return hasher.finish().digest();
}
