// The passes of accepted sockets: how the gate counts each of them.
import type { Pass } from '../../driver/connection-gate.js';

/** The pass of a socket that no gate counts. */
const OPEN_PASS: Pass = { pending() {}, admitted() {}, idle() {}, leave() {} };

const passes = new WeakMap<object, Pass>();

/** Remembers the pass of a socket that was let in. */
export function keepPass(socket: object, pass: Pass): void {
  passes.set(socket, pass);
}

/** The pass of an accepted socket, or of the one under it inside TLS. */
export function passOf(socket: object): Pass {
  const under = (socket as { _parent?: object | null })._parent;
  return passes.get(socket) ?? (under ? passes.get(under) : undefined) ?? OPEN_PASS;
}
