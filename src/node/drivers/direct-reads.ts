// Reads of a socket that go straight into the memory of frames.
import type { Http2Stream } from 'node:http2';
import { Socket, type SocketConstructorOpts } from 'node:net';
import type { FrameMemory } from '../../driver/frame-memory.js';
import type { FrameSplitter } from '../../driver/frame-splitter.js';
import { hashedFrames } from '../../stream/hashed-frames.js';

/** Node's names for the state that `onread` of a new socket sets (lib/net.js). */
const STATE = ['kBuffer', 'kBufferCb', 'kBufferGen'];

/**
 * Gives a socket the memory to read into. The connection over the socket is made once it is
 * connected. A copy, and memory that is touched for the first time, cost more than the read itself.
 */
export class DirectReads {
  readonly splitter: FrameSplitter;
  readonly memory: FrameMemory;
  /**
   * Called with the number of bytes after each read; set by the connection. Returns whether the
   * socket may read on.
   */
  onRead: (bytes: number) => boolean = () => true;
  /** The option of the same name for a socket that is still to be made (`net.connect`). */
  readonly onread = {
    buffer: (): Uint8Array => this.splitter.room(),
    callback: (bytes: number): boolean => this.onRead(bytes),
  };

  constructor(maxFrameBytes: number | undefined, readBytes?: number) {
    const { splitter, memory } = hashedFrames(maxFrameBytes, readBytes);
    this.splitter = splitter;
    this.memory = memory;
  }

  /**
   * Installs the reads on an accepted socket. Returns false if that is not possible: then the
   * socket brings its bytes in `data` events.
   */
  takeOver(socket: Socket): boolean {
    return readInto(socket, this.onread);
  }
}

/** The memory that a stream of Node reads into, and the callback after each read. */
export type OnRead = DirectReads['onread'];

/**
 * Makes an existing socket read into the memory of `onread`. Node has this option only for sockets
 * that it creates, although accepted ones can do the same. The state is therefore copied from a
 * socket that is created for the purpose. Returns false if this version of Node keeps the state in
 * another way.
 */
export function readInto(socket: Socket, onread: OnRead): boolean {
  return install(socket, Reflect.get(socket, '_handle'), onread, (state) => state.every((symbol) => Reflect.has(socket, symbol)));
}

/**
 * Does the same for a stream of HTTP/2. Such a stream passes its bytes on through the same function
 * as sockets do, which shows that it supports this.
 */
export function readStreamInto(stream: Http2Stream, socket: Socket, onread: OnRead): boolean {
  const symbol = Object.getOwnPropertySymbols(stream).find(({ description }) => description === 'kHandle');
  const handle: unknown = symbol && Reflect.get(stream, symbol);
  const known: unknown = Reflect.get((Reflect.get(socket, '_handle') as object | null) ?? {}, 'onread');
  return install(stream, handle, onread, () => typeof known === 'function' && Reflect.get(handle as object, 'onread') === known);
}

function install(stream: object, handle: unknown, onread: OnRead, fits: (state: readonly symbol[]) => boolean): boolean {
  const use: unknown = handle ? Reflect.get(handle, 'useUserBuffer') : undefined;
  // The option is documented, but missing in the types of Node 20.
  const donor = new Socket({ onread } as SocketConstructorOpts);
  const state = Object.getOwnPropertySymbols(donor).filter(({ description }) => STATE.includes(description ?? ''));
  if (typeof use !== 'function' || state.length !== STATE.length || !fits(state)) return false;
  for (const symbol of state) Reflect.set(stream, symbol, Reflect.get(donor, symbol));
  use.call(handle, onread.buffer());
  return true;
}
