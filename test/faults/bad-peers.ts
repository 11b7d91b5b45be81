// Peers that a server must get rid of: each connects to a port and misbehaves.
import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { encodeFrame } from '../../src/frame/frame.js';
import { pack } from '../../src/frame/pack.js';

/** Connects to a port; resolves once the connection is over, whoever ended it. */
export type BadPeer = (port: number) => Promise<void>;

/** A peer that writes `bytes` and then waits for the server to hang up, or hangs up itself. */
export function writes(bytes: Uint8Array, hangUp: 'waits' | 'ends' | 'resets' = 'waits'): BadPeer {
  return (port) =>
    over(connect(port, '127.0.0.1'), 'connect', (socket) => {
      socket.write(bytes, () => {
        if (hangUp === 'ends') socket.end();
        else if (hangUp === 'resets') socket.resetAndDestroy();
      });
    });
}

/** The same inside TLS, with the certificate of the options, if any. */
export function writesInTls(bytes: Uint8Array, options: ConnectionOptions): BadPeer {
  return (port) =>
    over(connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options }), 'secureConnect', (socket) => {
      if (bytes.length > 0) socket.write(bytes);
    });
}

/** A peer that writes one byte at a time: never silent, and never a whole frame. */
export function drips(bytes: Uint8Array, everyMs: number): BadPeer {
  return (port) =>
    over(connect(port, '127.0.0.1'), 'connect', (socket) => {
      let at = 0;
      const timer = setInterval(() => socket.write(bytes.subarray(at % bytes.length, (at++ % bytes.length) + 1)), everyMs);
      socket.once('close', () => clearInterval(timer));
    });
}

function over(socket: Socket, ready: string, act: (socket: Socket) => void): Promise<void> {
  return new Promise((resolve) => {
    socket.on('error', () => {});
    socket.resume();
    socket.once(ready, () => act(socket));
    socket.once('close', () => resolve());
  });
}

/** Frames as the tcp driver carries them: each after its length. */
export function framed(...frames: readonly (readonly Uint8Array[])[]): Buffer {
  return Buffer.concat(
    frames.flatMap((parts) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(parts.reduce((sum, part) => sum + part.length, 0));
      return [length, ...parts];
    }),
  );
}

export function hello(name: string, more: Record<string, unknown> = {}): Uint8Array[] {
  return encodeFrame('hello', 0, pack({ version: 1, name, idleMs: 1000, ...more }));
}

export const HTTP_REQUEST = Buffer.from('GET /admin HTTP/1.1\r\nhost: example.org\r\n\r\n');
/** The beginning of a TLS 1.2 ClientHello. */
export const TLS_HELLO = Buffer.from('16030100c8010000c40303', 'hex');

/** Bytes that depend on the seed alone. */
export function noise(seed: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed >>> 0;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}
