// The kernels for memory that threads share are those for other memory, with another import.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const load = (path: string): Promise<unknown> => import(new URL(`../../scripts/${path}`, import.meta.url).href);
const { withSharedMemory } = (await load('shared-memory.mjs')) as { withSharedMemory(wasm: Uint8Array, pages: number): Uint8Array };
const kernels = (name: string): Buffer => readFileSync(new URL(`../../dist/wasm/${name}`, import.meta.url));

const instantiate = (wasm: Uint8Array, memory: WebAssembly.Memory): WebAssembly.Instance =>
  new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(wasm)), { env: { memory } });

test('the module takes shared memory up to its maximum, and no other', () => {
  const shared = withSharedMemory(kernels('codec.wasm'), 300);
  const memory = (maximum: number, isShared: boolean) => new WebAssembly.Memory({ initial: 1, maximum, shared: isShared });
  const exports = Object.keys(instantiate(shared, memory(300, true)).exports);
  expect(exports).toEqual(Object.keys(instantiate(kernels('codec.wasm'), memory(300, false)).exports));
  expect(() => instantiate(shared, memory(301, true))).toThrow(WebAssembly.LinkError);
  expect(() => instantiate(shared, memory(300, false))).toThrow(WebAssembly.LinkError);
});

test('a module whose memory is shared already, or that has none, is refused', () => {
  expect(() => withSharedMemory(kernels('codec-shared.wasm'), 300)).toThrow('something else than one memory that is not shared');
  expect(() => withSharedMemory(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0), 300)).toThrow('the module imports nothing');
});
