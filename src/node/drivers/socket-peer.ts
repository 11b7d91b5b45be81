// The name of a socket's peer in messages.
/**
 * The address of a peer, for messages: `127.0.0.1:50123`. A socket that is gone already has none.
 */
export function socketPeer(socket: { remoteAddress?: string | undefined; remotePort?: number | undefined }): string {
  return socket.remoteAddress === undefined ? 'a peer' : `${socket.remoteAddress}:${socket.remotePort}`;
}
