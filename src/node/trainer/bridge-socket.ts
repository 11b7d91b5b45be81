// The place where a site waits for its training program: a unix socket in a folder of its own, for one connection.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FedStreamError } from '../../core/errors.js';
import type { BridgeConnection } from '../../trainer/bridge/program.js';

export interface BridgeSocket {
  /** What the program is told: `unix:/…`. Unique to this program on this machine. */
  readonly address: string;
  readonly connected: Promise<BridgeConnection>;
  close(): void;
}

/** Listens. The path of a unix socket has room for some 100 bytes: it lies in the system's folder for temporary files, which only this user may enter. */
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

/** Bytes of a socket; what breaks it ends the reading. */
export function socketConnection(socket: Socket): BridgeConnection {
  socket.on('error', () => {}); // told by the end of the reading
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
