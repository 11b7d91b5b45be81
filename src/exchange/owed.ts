// The part of the server's float32 model that a site did not get, because the dtypes of its trainer
// cannot hold it.
import type { CodecTable } from '../codec/codec.js';
import { poolFor } from '../codec/quantize.js';
import type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';
import { sumChunks } from './sum-chunks.js';

/**
 * `model − given` in float32, lazy. Where both are equal the value is −0, the neutral element of
 * addition, so that adding it to trained weights changes no bit of them.
 */
export function owed(model: StateDict, given: StateDict, codecs: CodecTable): StateDict {
  const addends = [
    { model, weight: 1 },
    { model: given, weight: -1 },
  ];
  const options = { addends, codecs, pool: poolFor(model, codecs), what: 'what the sites lack' };
  async function* chunks(range?: ChunkRange): AsyncGenerator<Chunk> {
    for await (const { chunk } of sumChunks(options, range)) {
      if (chunk.tensor.dtype === 'F32') {
        const values = new Float32Array(chunk.bytes.buffer, chunk.bytes.byteOffset, chunk.elements);
        for (let i = 0; i < values.length; i++) if (values[i] === 0) values[i] = -0;
      }
      yield chunk;
    }
  }
  return { manifest: model.manifest, chunks };
}
