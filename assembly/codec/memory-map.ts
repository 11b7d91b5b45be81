// Where the kernels' tables and scratch lie in the imported memory.

/** blockwise8: 32,768 words. */
export const BLOCKWISE8_TABLE: usize = 0x1000;
/** blockwise8: the 256 values of the map. */
export const BLOCKWISE8_MAP: usize = 0x21000;
/** The 4-bit rules, 256 bytes each. */
export const NF4_RULE: usize = 0x21400;
export const FP4_RULE: usize = 0x21500;
/** What is above belongs to the host. */
export const HEAP: usize = 0x22000;

/** Of each instance: the scaled map (1,024 bytes), then a short tail (64 bytes). Threads over one memory set their own. */
export const SCRATCH_BYTES: usize = 1088;

let scratch: usize = HEAP;

export function useScratch(address: usize): void {
  scratch = address;
}

@inline
export function scaledMap(): usize {
  return scratch;
}

@inline
export function tail(): usize {
  return scratch + 1024;
}
