// Cuts the pieces of a source into leaves.
import { FedStreamError } from '../core/errors.js';
import { hashedMemory } from './hashed-memory.js';
import { LEAF_BYTES } from './leaf-sums.js';
import type { ByteSource } from './source.js';

/**
 * The leaves of a source from the leaf at `offset` on, each whole but the last. A piece that is a
 * leaf is passed on without a copy if the source `holds` its pieces; other leaves are assembled in
 * buffers that are used in turn. A leaf stays valid while the next `validFor` leaves are asked for.
 *
 * Throws `internal` if no leaf begins at `offset`.
 */
export async function* leavesOf(source: ByteSource, offset: number, validFor: number): AsyncGenerator<Uint8Array> {
  if (offset % LEAF_BYTES !== 0) throw new FedStreamError('internal', `a stream is read from ${offset}, which no leaf begins at`);
  const count = validFor + 1;
  const allocate = hashedMemory(count);
  const buffers: Uint8Array[] = [];
  let turn = 0;
  let filled = 0;
  const room = (): Uint8Array => {
    buffers[turn] ??= allocate(LEAF_BYTES);
    return buffers[turn] as Uint8Array;
  };
  const full = (): Uint8Array => {
    const leaf = room().subarray(0, filled);
    turn = (turn + 1) % count;
    filled = 0;
    return leaf;
  };
  for await (const piece of source.read(offset, validFor)) {
    for (let at = 0; at < piece.length; ) {
      const part = piece.subarray(at, at + LEAF_BYTES - filled);
      at += part.length;
      if (source.holds && part.length === LEAF_BYTES) {
        yield part;
        continue;
      }
      room().set(part, filled);
      filled += part.length;
      if (filled === LEAF_BYTES) yield full();
    }
  }
  if (filled > 0) yield full();
}
