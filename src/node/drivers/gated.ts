// Puts a listening server behind the gate of its hub, and keeps descriptors free for files.
import type { Server, Socket } from 'node:net';
import { guarded } from '../../core/guarded.js';
import type { DriverOptions } from '../../driver/driver.js';
import { Descriptors } from '../process/descriptors.js';
import { cutOff } from './cut-off.js';
import { keepPass } from './passes.js';
import { socketPeer } from './socket-peer.js';

/** How often the server looks whether files have become short of descriptors. */
const LOOK_MS = 1_000;

/**
 * Makes the server ask the gate before anything else learns of a new socket. All listeners for
 * `connection` must be there already; they see only sockets that were let in. `local` names peers
 * that have no address.
 */
export function gated(server: Server, { gate, onRefused }: DriverOptions, local?: string): void {
  if (!gate) return;
  const descriptors = new Descriptors();
  const onward = server.listeners('connection') as ((socket: Socket) => void)[];
  server.removeAllListeners('connection');
  const accepted = (socket: Socket): void => {
    const peer = local ?? socketPeer(socket);
    const pass = gate.enter({
      peer,
      missingDescriptors: -descriptors.spare(),
      hasSpoken: () => socket.bytesRead > 0,
      drop: () => void socket.destroy(),
    });
    if (!pass) {
      socket.on('error', () => {}).destroy();
      return;
    }
    descriptors.accepted();
    keepPass(socket, pass);
    socket.once('close', () => pass.leave());
    for (const listener of onward) listener.call(server, socket);
  };
  server.on('connection', guarded(accepted, cutOff(onRefused)));
  // Files are opened, too, while nobody connects.
  const look = setInterval(() => {
    for (let missing = -descriptors.spare(); missing > 0 && gate.shed(); missing--);
  }, LOOK_MS).unref();
  server.once('close', () => clearInterval(look));
}
