// Joins the parts of a frame.

/** Copies the parts to the target, from `start` on; returns the position behind them. */
export function copyParts(target: Uint8Array, parts: readonly Uint8Array[], start = 0): number {
  let at = start;
  for (const part of parts) {
    target.set(part, at);
    at += part.length;
  }
  return at;
}

/** Copies the parts into one array. */
export function joinParts(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  copyParts(joined, parts);
  return joined;
}
