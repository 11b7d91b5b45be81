// The tensors of a golden file, by name, and the configurations in its metadata.
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { nodeFolder } from '../../src/node/storage/node-folder.js';
import { openSafetensors } from '../../src/tensor/safetensors.js';

export interface GoldenTensors {
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Uint8Array }>;
  readonly configs: Readonly<Record<string, string>>;
  floats(name: string): Float32Array;
  integers(name: string): Int32Array;
}

export async function goldenTensors(name: string): Promise<GoldenTensors> {
  const file = await openSafetensors(nodeFolder(fileURLToPath(new URL('.', import.meta.url))), name);
  const tensors = new Map<string, { shape: readonly number[]; data: Uint8Array }>();
  for await (const { tensor, bytes } of file.chunks()) tensors.set(tensor.name, { shape: tensor.shape, data: bytes.slice() });
  await file.close?.();
  const buffer = (name: string) => (tensors.get(name) as { data: Uint8Array }).data.buffer;
  return {
    tensors,
    configs: file.manifest.metadata,
    floats: (name) => new Float32Array(buffer(name)),
    integers: (name) => new Int32Array(buffer(name)),
  };
}

/** Values within 1e-4 of those expected. */
export function expectLogits(found: Float32Array, expected: Float32Array): void {
  expect(found).toHaveLength(expected.length);
  const furthest = found.reduce((most, value, i) => Math.max(most, Math.abs(value - (expected[i] as number))), 0);
  expect(furthest).toBeLessThan(1e-4);
}

/** Values within 1e-4 of the largest one expected. */
export function expectGradient(name: string, bytes: Uint8Array, expected: Float32Array): void {
  const found = new Float32Array(bytes.slice().buffer);
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  // One assertion a tensor: an `expect` for each of its values takes longer than the model.
  const far = found.findIndex((value, i) => !(Math.abs(value - (expected[i] as number)) < 1e-4 * largest + 1e-6));
  expect(far, `${name}[${far}] is ${found[far]}, not ${expected[far]}`).toBe(-1);
}
