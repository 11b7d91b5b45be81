// Reads of a socket that go straight to where frames stay: the copy, and memory that is touched for the first time, cost more than the reading.
import type { Http2Stream } from 'node:http2';
import { Socket, type SocketConstructorOpts } from 'node:net';
import type { FrameMemory } from '../../driver/frame-memory.js';
import type { FrameSplitter } from '../../driver/frame-splitter.js';
import { hashedFrames } from '../../stream/hashed-frames.js';

/** What Node calls the state that `onread` of a new socket sets (lib/net.js). */
const STATE = ['kBuffer', 'kBufferCb', 'kBufferGen'];

/** Tells a socket where to read to; the connection over it is made once it is connected. */
export class DirectReads {
  readonly splitter: FrameSplitter;
  readonly memory: FrameMemory;
  /** Set by the connection. Returns whether it welcomes more. */
  onRead: (bytes: number) => boolean = () => true;
  /** For a socket that is still to be made (`net.connect`). */
  readonly onread = {
    buffer: (): Uint8Array => this.splitter.room(),
    callback: (bytes: number): boolean => this.onRead(bytes),
  };

  constructor(maxFrameBytes: number | undefined, readBytes?: number) {
    const { splitter, memory } = hashedFrames(maxFrameBytes, readBytes);
    this.splitter = splitter;
    this.memory = memory;
  }

  /** For a socket that was accepted. False where it cannot be; its `data` events bring the bytes then. */
  takeOver(socket: Socket): boolean {
    return readInto(socket, this.onread);
  }
}

/** Where a stream of Node's reads to, and who hears of it. */
export type OnRead = DirectReads['onread'];

/**
 * Node takes `onread` for sockets that it is asked to make, and has no word for others, which can do it as well. So the state is taken from one that is
 * made for it. False where this Node keeps it otherwise.
 */
export function readInto(socket: Socket, onread: OnRead): boolean {
  return install(socket, Reflect.get(socket, '_handle'), onread, (state) => state.every((symbol) => Reflect.has(socket, symbol)));
}

/** The same for a stream of HTTP/2, which hands its bytes on by the very function that sockets do: by that it is known that it can. */
export function readStreamInto(stream: Http2Stream, socket: Socket, onread: OnRead): boolean {
  const symbol = Object.getOwnPropertySymbols(stream).find(({ description }) => description === 'kHandle');
  const handle: unknown = symbol && Reflect.get(stream, symbol);
  const known: unknown = Reflect.get((Reflect.get(socket, '_handle') as object | null) ?? {}, 'onread');
  return install(stream, handle, onread, () => typeof known === 'function' && Reflect.get(handle as object, 'onread') === known);
}

function install(stream: object, handle: unknown, onread: OnRead, fits: (state: readonly symbol[]) => boolean): boolean {
  const use: unknown = handle ? Reflect.get(handle, 'useUserBuffer') : undefined;
  // Documented, and missing in the types of Node 20.
  const donor = new Socket({ onread } as SocketConstructorOpts);
  const state = Object.getOwnPropertySymbols(donor).filter(({ description }) => STATE.includes(description ?? ''));
  if (typeof use !== 'function' || state.length !== STATE.length || !fits(state)) return false;
  for (const symbol of state) Reflect.set(stream, symbol, Reflect.get(donor, symbol));
  use.call(handle, onread.buffer());
  return true;
}
