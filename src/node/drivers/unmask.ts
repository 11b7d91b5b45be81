// Takes the mask off the bytes that WebSocket clients send (RFC 6455, 5.3), in place.

const PACKAGE: string = 'bufferutil';

/** Takes a mask of 4 bytes off, in place. */
export type Unmask = (bytes: Uint8Array, mask: Uint8Array) => void;

/**
 * Loads the function of the package `bufferutil`, which is four times as fast. Without the package,
 * `unmask` is used instead; `ws` does the same.
 */
export async function loadUnmask(): Promise<Unmask> {
  try {
    // The package has no types.
    const { default: library } = (await import(PACKAGE)) as { default: { unmask: Unmask } };
    return library.unmask;
  } catch {
    return unmask;
  }
}

const WORD_BYTES = 4;

/** Takes a mask of 4 bytes off, in place: four bytes at a time where they are aligned. */
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

/** The mask for the bytes that follow the first `bytes` ones. */
export function turned(mask: Uint8Array, bytes: number): Uint8Array {
  return mask.map((_, i) => mask[(i + bytes) % WORD_BYTES] as number);
}
