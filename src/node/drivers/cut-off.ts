// The end of a connection that this side failed to handle.
import { asFedStreamError } from '../../core/errors.js';
import type { DriverOptions } from '../../driver/driver.js';
import { socketPeer } from './socket-peer.js';

/** The parts of a socket that are needed to end it. */
interface Ended {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  destroy(): unknown;
}

/**
 * Makes the error handler for events of a socket: the socket ends, and the fault is told like that
 * of a peer, since nobody else is concerned.
 */
export function cutOff(onRefused: DriverOptions['onRefused']): (error: unknown, socket: Ended) => void {
  return (error, socket) => {
    const peer = socketPeer(socket);
    socket.destroy();
    onRefused?.(peer, asFedStreamError(error, 'internal', `${peer} was cut off, since this side failed`));
  };
}
