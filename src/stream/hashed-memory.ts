// Memory whose checksums are made in place: a copy to the kernel would cost as much as the hash.
import { ChecksumKernel, KERNEL_PAGES } from './checksum-kernel.js';

const PAGE_BYTES = 64 * 1024;
/** A leaf of 1 MiB, and the part of a frame in front of it. */
const SLOT_BYTES = 17 * PAGE_BYTES;
/** As many as a connection keeps (src/driver/frame-memory.ts). Untouched pages cost nothing. */
const SLOTS = 16;

const kernels = new WeakMap<ArrayBufferLike, ChecksumKernel>();
let elsewhere: ChecksumKernel | undefined;

/** XXH3-64 of a leaf as 8 bytes, in the canonical order (most significant first). */
export function checksumOf(leaf: Uint8Array): Uint8Array {
  const kernel = kernels.get(leaf.buffer);
  if (kernel) return kernel.inPlace(leaf);
  elsewhere ??= new ChecksumKernel();
  return elsewhere.of(leaf);
}

/**
 * Hashes the part of a leaf that has arrived in hashed memory; `whole` says that nothing is
 * missing. One leaf after the other; does nothing for other memory.
 */
export function hashAhead(leaf: Uint8Array, whole: boolean): void {
  const kernel = kernels.get(leaf.buffer);
  if (whole) kernel?.whole(leaf);
  else kernel?.ahead(leaf);
}

/** Forgets the checksums of bytes in this memory, since others arrive there now. */
export function forgetHashed(memory: Uint8Array): void {
  kernels.get(memory.buffer)?.forget(memory);
}

/**
 * Returns an allocator that gives out buffers of at least the requested size, each once. The first
 * `slots` of them, large enough for a leaf and its frame, lie in one memory that is made with the
 * first; larger buffers and later ones are ordinary memory. All of the slots are freed together.
 */
export function hashedMemory(slots = SLOTS): (bytes: number) => Uint8Array {
  let memory: WebAssembly.Memory | undefined;
  let given = 0;
  return (bytes) => {
    if (bytes > SLOT_BYTES || given === slots) return new Uint8Array(bytes);
    memory ??= newMemory(slots);
    if (!memory) return new Uint8Array(bytes);
    return new Uint8Array(memory.buffer, KERNEL_PAGES * PAGE_BYTES + given++ * SLOT_BYTES, SLOT_BYTES);
  };
}

/**
 * Undefined if the process has no room for one more: each takes 8 GiB of addresses, though not of
 * memory.
 */
function newMemory(slots: number): WebAssembly.Memory | undefined {
  const pages = KERNEL_PAGES + (slots * SLOT_BYTES) / PAGE_BYTES;
  try {
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    kernels.set(memory.buffer, new ChecksumKernel(memory));
    return memory;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
