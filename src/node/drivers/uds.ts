// The uds driver: frames over a unix socket, for processes of one machine.
import { chmodSync } from 'node:fs';
import { unlink } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { FedStreamError } from '../../core/errors.js';
import type { Driver } from '../../driver/driver.js';
import { socketDriver } from './socket-driver.js';

/** The kernel's `sun_path` has 108 bytes with its terminator (unix(7)); that of macOS has 104. */
const LONGEST_PATH_BYTES = 103;
/** Reads of 64 KiB are a sixth slower, since the calls cost the most here (measured). */
const READ_BYTES = 128 * 1024;

/**
 * Connects and listens at `uds:///absolute/path`. The socket is for processes of the same user alone
 * (mode 0600).
 */
export function uds(): Driver {
  return socketDriver({
    scheme: 'uds',
    ready: 'connect',
    readBytes: READ_BYTES,
    check: (url) => void pathOf(url),
    dial: (url, { onread }) => connect({ path: pathOf(url), onread }),
    serve: (accept) => ownersAlone(createServer(accept)),
    where: (url) => ({ path: pathOf(url) }),
    url: (url) => url,
    prepare: (url) => removeStale(pathOf(url)),
    peer: (_, url) => url,
    local: (url) => url,
  });
}

function pathOf(url: string): string {
  const path = /^uds:\/\/(\/[^\s\0]*[^\s\0/])$/.exec(url)?.[1];
  if (path === undefined) throw new FedStreamError('bad-argument', `${JSON.stringify(url)} is not an address; write uds:///absolute/path`);
  if (Buffer.byteLength(path) > LONGEST_PATH_BYTES)
    throw new FedStreamError('bad-argument', `${path} is too long for a socket; at most ${LONGEST_PATH_BYTES} bytes are possible`);
  return path;
}

/** Lets only this process's user connect, whatever the umask is. */
function ownersAlone(server: Server): Server {
  return server.once('listening', () => {
    const path = server.address();
    if (typeof path === 'string' && process.platform !== 'win32') chmodSync(path, 0o600);
  });
}

/** Removes the socket that a killed process left behind: a path on which nobody answers is free. */
async function removeStale(path: string): Promise<void> {
  const code = await new Promise<string | undefined>((resolve) => {
    const socket = connect({ path });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
    socket.once('connect', () => {
      socket.destroy();
      resolve(undefined);
    });
  });
  if (code === 'ECONNREFUSED') await unlink(path).catch(() => {});
}
