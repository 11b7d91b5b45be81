// Models for the tests of the wire: every encoding, odd shapes, ties, and tensors that no codec
// touches.
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { encodeModel } from '../../src/codec/quantize.js';
import type { Encoding } from '../../src/tensor/manifest.js';
import { type MemoryTensor, memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import type { StateDict } from '../../src/tensor/state-dict.js';

export const ENCODINGS: Readonly<Record<string, Encoding>> = {
  fp32: { codec: 'raw' },
  fp16: { codec: 'fp16' },
  bf16: { codec: 'bf16' },
  blockwise8: { codec: 'blockwise8' },
  fp4: { codec: 'fp4' },
  nf4: { codec: 'nf4' },
  'fp4-nested': { codec: 'fp4', nested: true },
  'nf4-nested': { codec: 'nf4', nested: true },
  u1: { codec: 'u1' },
  u3: { codec: 'u3' },
};

/** Values in [-1, 1) that depend on the seed alone. */
export function someFloats(length: number, seed: number): Float32Array {
  let state = seed;
  return new Float32Array(length).map(() => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** A model in chunks of 16,384 elements, so that a small model has many chunks. */
export function someModel(encoding: Encoding, seed = 1, lastElements = 70_001): StateDict {
  const f32 = (name: string, shape: number[], at: number): MemoryTensor => ({
    name,
    dtype: 'F32',
    shape,
    data: someFloats(
      shape.reduce((product, size) => product * size, 1),
      seed * 100 + at,
    ),
  });
  const embedding = f32('embedding', [300, 333], 1);
  const tensors: MemoryTensor[] = [
    embedding,
    f32('layers.0.weight', [128, 256], 2),
    f32('scalar', [], 3),
    { name: 'counter', dtype: 'I64', shape: [2], data: BigInt64Array.of(1n, -2n) },
    f32('empty', [0, 4], 4),
    { name: 'mask', dtype: 'BOOL', shape: [5], data: Uint8Array.of(1, 0, 1, 1, 0) },
    f32('layers.1.weight', [1, 16_384], 5),
    ...Array.from({ length: 40 }, (_, i) => f32(`norms.${i}`, [97], 10 + i)),
    { ...embedding, name: 'head' },
    f32('last', [lastElements], 6),
  ];
  const model = memoryStateDict(tensors, { chunkElements: 16_384, metadata: { format: 'pt' } });
  return encodeModel(model, (tensor) => (tensor.dtype === 'F32' ? encoding : { codec: 'raw' }), referenceCodecs);
}

/** All coded bytes of a model, by chunk. */
export async function chunksOf(model: StateDict): Promise<Buffer[]> {
  const chunks: Buffer[] = [];
  for await (const { bytes } of model.chunks()) chunks.push(Buffer.from(bytes));
  return chunks;
}
