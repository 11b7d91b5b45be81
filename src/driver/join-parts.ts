// The parts of a frame, one behind the other.

/** Copies the parts to the target, from `start` on; returns where they end. */
export function copyParts(target: Uint8Array, parts: readonly Uint8Array[], start = 0): number {
  let at = start;
  for (const part of parts) {
    target.set(part, at);
    at += part.length;
  }
  return at;
}

export function joinParts(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  copyParts(joined, parts);
  return joined;
}
