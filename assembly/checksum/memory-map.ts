// Addresses of the checksum's state; the host writes the secret and the input.

/** Eight accumulators. */
export const ACC: usize = 0x400;
/** The checksum, 8 bytes. */
export const RESULT: usize = 0x440;
export const SECRET: usize = 0x500;
export const SECRET_BYTES: usize = 192;
/** The input, a piece at a time; the 64 bytes before it are the last ones of the piece before. */
export const STAGE: usize = 0x640;

@inline
export function secret64(at: usize): u64 {
  return load<u64>(SECRET + at);
}
