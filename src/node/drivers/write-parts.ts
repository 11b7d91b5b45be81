// Writes the parts of a frame to a stream.
import type { Writable } from 'node:stream';

type Corked = Pick<Writable, 'cork' | 'uncork'> & { write(part: Uint8Array, flushed?: (error?: Error | null) => void): unknown };

/**
 * Resolves once the parts are flushed. If the stream is destroyed before, the promise may never
 * settle: its caller must watch the connection.
 */
export function writeParts(to: Corked, parts: readonly Uint8Array[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const flushed = (error?: Error | null): void => (error ? reject(error) : resolve());
    to.cork();
    for (const [index, part] of parts.entries()) to.write(part, index === parts.length - 1 ? flushed : undefined);
    to.uncork();
  });
}

/**
 * Makes a socket inside TLS send each part of a write by itself. Node would first copy parts that
 * are written together to fresh memory (TLSWrap::DoWrite), which takes as long as their encryption.
 * `_writev` is optional for a stream (Node's documentation, "Implementing a writable stream").
 */
export function writeEach(socket: Writable): void {
  Reflect.set(socket, '_writev', null);
}
