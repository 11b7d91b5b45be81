// Reads a long text of a file in pieces, and lets the event loop turn between them.
import { nextTurn } from './next-turn.js';
import type { ReadableFile } from './storage.js';

/** Some milliseconds of parsing. */
const PIECE_BYTES = 256 * 1024;

/**
 * Yields the bytes from `begin` to `end`; each piece is valid until the next one is asked for.
 */
export async function* textPieces(file: ReadableFile, begin: number, end: number): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(Math.min(PIECE_BYTES, end - begin));
  for (let at = begin; at < end; at += buffer.length) {
    if (at > begin) await nextTurn();
    const piece = buffer.subarray(0, Math.min(buffer.length, end - at));
    await file.read(piece, at);
    yield piece;
  }
}
