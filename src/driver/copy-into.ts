// Bytes that were read elsewhere, copied to where a reader in place wants them.

/** Says where the next bytes belong, at least one, and takes them. */
export interface InPlace {
  room(): Uint8Array;
  filled(bytes: number): readonly Uint8Array[];
}

/** Returns the frames that are whole now, of all the bytes. */
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
