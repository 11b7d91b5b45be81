// The unix socket on which a site waits for its training program, for one connection.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FedStreamError } from '../../core/errors.js';
import type { BridgeConnection } from '../../trainer/bridge/program.js';

/** A socket that waits for a program. */
export interface BridgeSocket {
  /** The address that the program is given: `unix:/…`. Unique to this program on this machine. */
  readonly address: string;
  readonly connected: Promise<BridgeConnection>;
  close(): void;
}

/**
 * Listens on a new socket; rejects with `io`, or with `unsupported` on Windows. The path of a unix
 * socket may have some 100 bytes, so it lies in the system's folder for temporary files, in a
 * folder that only this user may enter.
 */
export async function openBridgeSocket(): Promise<BridgeSocket> {
  if (process.platform === 'win32')
    throw new FedStreamError('unsupported', 'trainers of a site’s own need unix sockets; run the site on Linux, macOS or in WSL');
  const folder = mkdtempSync(join(tmpdir(), 'fedstream-'));
  const path = join(folder, 'bridge');
  let taken = false;
  let connect: (connection: BridgeConnection) => void = () => {};
  const connected = new Promise<BridgeConnection>((resolve) => {
    connect = resolve;
  });
  const server = createServer((socket) => {
    if (taken) socket.destroy();
    else connect(socketConnection(socket));
    taken = true;
  });
  await listening(server, path);
  const close = (): void => {
    server.close();
    rmSync(folder, { recursive: true, force: true });
  };
  return { address: `unix:${path}`, connected, close };
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(new FedStreamError('io', `cannot listen at ${path}: ${cause.message}`, { cause })));
    server.listen(path, resolve);
  });
}

/** The bytes of a socket; an error of it ends the reading with `closed`. */
export function socketConnection(socket: Socket): BridgeConnection {
  socket.on('error', () => {}); // reported by the end of the reading
  return {
    send: (bytes) => {
      if (socket.writable) socket.write(bytes);
    },
    close: () => socket.destroySoon(),
    async *[Symbol.asyncIterator]() {
      try {
        for await (const bytes of socket) yield bytes as Uint8Array;
      } catch (cause) {
        throw new FedStreamError('closed', `the connection broke: ${(cause as Error).message}`, { cause });
      }
    },
  };
}
