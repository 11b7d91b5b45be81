// The layout of `u1` to `u4`: the block, and the bytes of codes.

export const UNIFORM_BLOCK: i32 = 128;

/**
 * Bytes of codes in whole groups: 8, 4 or 2 codes in a byte, or 8 codes of three bits in three
 * bytes.
 */
@inline
export function codeBytes(bits: i32, elements: i32): usize {
  return bits == 3 ? <usize>(3 * ((elements + 7) >> 3)) : <usize>((elements * bits + 7) >> 3);
}
