// Writes a frame to an HTTP message as one HTTP chunk.
import type { OutgoingMessage } from 'node:http';
import { lengthPrefixed } from '../../driver/http-protocol.js';

/** Resolves once it is flushed. Where the message is destroyed before, it may never settle: whoever sends watches the connection. */
export function writeFrame(message: OutgoingMessage, parts: readonly Uint8Array[], bytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const flushed = (error?: Error | null): void => (error ? reject(error) : resolve());
    const pieces = lengthPrefixed(parts, bytes);
    message.cork();
    for (const [index, piece] of pieces.entries()) message.write(piece, index === pieces.length - 1 ? flushed : undefined);
    message.uncork();
  });
}
