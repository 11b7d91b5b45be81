// Addresses of the kernels' tables and scratch in the imported memory.

/** The table of blockwise8: 32,768 words. */
export const BLOCKWISE8_TABLE: usize = 0x1000;
/** The 256 values of blockwise8's map. */
export const BLOCKWISE8_MAP: usize = 0x21000;
/** The 4-bit rules, 256 bytes each. */
export const NF4_RULE: usize = 0x21400;
export const FP4_RULE: usize = 0x21500;
/** Memory from here on belongs to the host. */
export const HEAP: usize = 0x22000;

/**
 * Scratch of one instance: the scaled map (1,024 bytes), a short tail (64 bytes of values, 16 of
 * codes), and for the uniform codes a block (512), its codes (80) and its sums (128). Threads over
 * one memory set their own.
 */
export const SCRATCH_BYTES: usize = 1824;

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

/** A block's values, if they are not those of the host; blockwise8's map is not in use then. */
@inline
export function uniformValues(): usize {
  return scratch;
}

@inline
export function uniformBlock(): usize {
  return scratch + 1104;
}

@inline
export function uniformCodes(): usize {
  return scratch + 1616;
}

@inline
export function uniformSums(): usize {
  return scratch + 1696;
}
