// Copies bytes that were read elsewhere to where an in-place reader wants them.

/**
 * A reader that says where the next bytes belong, with room for at least one, and then takes them.
 */
export interface InPlace {
  room(): Uint8Array;
  filled(bytes: number): readonly Uint8Array[];
}

/** Passes all the bytes to the reader; returns the frames that are complete now. */
export function copyInto(reader: InPlace, bytes: Uint8Array): readonly Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const room = reader.room();
    const part = bytes.subarray(at, at + room.length);
    room.set(part);
    at += part.length;
    frames.push(...reader.filled(part.length));
  }
  return frames;
}
