// Writes the parts of a frame to a stream of Node's.
import type { Writable } from 'node:stream';

type Corked = Pick<Writable, 'cork' | 'uncork'> & { write(part: Uint8Array, flushed?: (error?: Error | null) => void): unknown };

/** Resolves once they are flushed. Where the stream is destroyed before, it may never settle: whoever sends watches the connection. */
export function writeParts(to: Corked, parts: readonly Uint8Array[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const flushed = (error?: Error | null): void => (error ? reject(error) : resolve());
    to.cork();
    for (const [index, part] of parts.entries()) to.write(part, index === parts.length - 1 ? flushed : undefined);
    to.uncork();
  });
}

/**
 * For a socket inside TLS. What is written together Node copies to fresh memory first (TLSWrap::DoWrite), which takes as long as to encrypt it: each part
 * goes out by itself. `_writev` is optional for a stream (Node's documentation, "Implementing a writable stream").
 */
export function writeEach(socket: Writable): void {
  Reflect.set(socket, '_writev', null);
}
