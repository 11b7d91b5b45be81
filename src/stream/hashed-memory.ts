// Memory that checksums are made of where it lies: a copy on the way to the kernel would cost as much as the hash.
import { ChecksumKernel, KERNEL_PAGES } from './checksum-kernel.js';

const PAGE_BYTES = 64 * 1024;
/** A leaf of 1 MiB, and what a frame has in front of it. */
const SLOT_BYTES = 17 * PAGE_BYTES;
/** As many as a connection keeps (src/driver/frame-memory.ts). Pages that nobody touched cost nothing. */
const SLOTS = 16;

const kernels = new WeakMap<ArrayBufferLike, ChecksumKernel>();
let elsewhere: ChecksumKernel | undefined;

/** XXH3-64 of a leaf, in the canonical order of bytes. */
export function checksumOf(leaf: Uint8Array): Uint8Array {
  const kernel = kernels.get(leaf.buffer);
  if (kernel) return kernel.inPlace(leaf);
  elsewhere ??= new ChecksumKernel();
  return elsewhere.of(leaf);
}

/** Hashes what is here of a leaf in such memory while it comes; `whole` where nothing is missing. One leaf after the other. */
export function hashAhead(leaf: Uint8Array, whole: boolean): void {
  const kernel = kernels.get(leaf.buffer);
  if (whole) kernel?.whole(leaf);
  else kernel?.ahead(leaf);
}

/** What was hashed ahead in this memory is not of what comes there now. */
export function forgetHashed(memory: Uint8Array): void {
  kernels.get(memory.buffer)?.forget(memory);
}

/**
 * Gives out buffers of at least so many bytes, each once: `slots` of them, of a leaf and a little each, from one memory that is made with the first. What
 * is larger, or beyond that, is common memory. All of it is let go together.
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

/** Undefined where the process has no room for one more: each takes 8 GiB of addresses, though not of memory. */
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
