// The mask of what clients send over WebSockets (RFC 6455, 5.3), taken off where the bytes lie.

const PACKAGE: string = 'bufferutil';

export type Unmask = (bytes: Uint8Array, mask: Uint8Array) => void;

/** The package's is four times as fast; like `ws`, this side goes without it where it is missing. */
export async function loadUnmask(): Promise<Unmask> {
  try {
    // It has no types.
    const { default: library } = (await import(PACKAGE)) as { default: { unmask: Unmask } };
    return library.unmask;
  } catch {
    return unmask;
  }
}

const WORD_BYTES = 4;

export function unmask(bytes: Uint8Array, mask: Uint8Array): void {
  const { buffer, byteOffset, length } = bytes;
  const front = Math.min(length, -byteOffset & (WORD_BYTES - 1));
  const count = Math.floor((length - front) / WORD_BYTES);
  const words = count > 0 ? new Uint32Array(buffer, byteOffset + front, count) : new Uint32Array(0);
  const word = new Uint32Array(turned(mask, front).buffer)[0] as number;
  for (let i = 0; i < front; i++) bytes[i] = (bytes[i] as number) ^ (mask[i % WORD_BYTES] as number);
  for (let i = 0; i < words.length; i++) words[i] = (words[i] as number) ^ word;
  for (let i = front + words.length * WORD_BYTES; i < length; i++) bytes[i] = (bytes[i] as number) ^ (mask[i % WORD_BYTES] as number);
}

/** The mask as it is behind so many bytes. */
export function turned(mask: Uint8Array, bytes: number): Uint8Array {
  return mask.map((_, i) => mask[(i + bytes) % WORD_BYTES] as number);
}
