// Lengths and offsets as little-endian integers, without allocations: they are in every frame.

const HIGH = 2 ** 32;

/** Writes a whole number up to 2^53 as 64 bits. */
export function putUint64(bytes: Uint8Array, at: number, value: number): void {
  putUint32(bytes, at, value % HIGH);
  putUint32(bytes, at + 4, Math.floor(value / HIGH));
}

/** Reads 64 bits. A number beyond 2^53 is inexact, and still beyond it. */
export function uint64At(bytes: Uint8Array, at: number): number {
  return uint32At(bytes, at + 4) * HIGH + uint32At(bytes, at);
}

/** Writes a whole number as 32 bits. */
export function putUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

/** Reads 32 bits. */
export function uint32At(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at + 3] as number) << 24) | ((bytes[at + 2] as number) << 16);
  return (high | ((bytes[at + 1] as number) << 8) | (bytes[at] as number)) >>> 0;
}
