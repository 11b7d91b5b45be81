// Two sessions in one process with their streams, and bytes to send, for the tests of streams.
import { expect } from 'vitest';
import { FedStreamError } from '../../src/core/errors.js';
import type { Connection } from '../../src/driver/driver.js';
import { connectionPair } from '../../src/driver/memory.js';
import { Session } from '../../src/frame/session.js';
import type { AcceptOptions, IncomingStream } from '../../src/stream/incoming-stream.js';
import { LeafHasher, type LeafSums } from '../../src/stream/leaf-sums.js';
import type { ByteSource } from '../../src/stream/source.js';
import { Streams } from '../../src/stream/streams.js';

export const KIB = 1024;
export const MIB = 1024 * KIB;

export function someBytes(length: number, seed = 1): Uint8Array {
  let state = seed;
  return new Uint8Array(length).map(() => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

export async function sumsOf(bytes: Uint8Array): Promise<LeafSums> {
  const hasher = new LeafHasher();
  hasher.update(bytes);
  return hasher.finish();
}

export interface Joined {
  readonly sender: Streams;
  readonly session: Session;
  readonly farSession: Session;
  readonly far: Streams;
  /** Streams as the far side gets them, in order. */
  opened(): Promise<IncomingStream>;
}

/** Joins two sessions; `wire` may tamper with the sender's frames. */
export async function joined(wire: (connection: Connection) => Connection = (connection) => connection): Promise<Joined> {
  const [near, farEnd] = connectionPair('memory://streams');
  const session = new Session(wire(near), { name: 'sender' });
  const farSession = new Session(farEnd, { name: 'receiver' });
  const ready: IncomingStream[] = [];
  const waiting: ((stream: IncomingStream) => void)[] = [];
  const sender = new Streams(session, (stream) => void stream.reject(new FedStreamError('refused', 'not here')));
  const far = new Streams(farSession, (stream) => {
    const wake = waiting.shift();
    if (wake) wake(stream);
    else ready.push(stream);
  });
  await Promise.all([session.start(), farSession.start()]);
  const opened = (): Promise<IncomingStream> => {
    const stream = ready.shift();
    return stream ? Promise.resolve(stream) : new Promise((resolve) => waiting.push(resolve));
  };
  return { sender, session, farSession, far, opened };
}

export async function readAll(stream: IncomingStream, options?: AcceptOptions): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  try {
    for await (const bytes of stream.read(options)) pieces.push(bytes.slice());
  } catch (error) {
    await stream.reject(error as FedStreamError);
    throw error;
  }
  await stream.confirm();
  return Buffer.concat(pieces);
}

/** A source of pieces of the given sizes in turn; each piece is overwritten once it may be. */
export function spoilingSource(bytes: Uint8Array, sizes: readonly number[]): ByteSource {
  return {
    async *read(offset) {
      const buffers = [0, 1].map(() => new Uint8Array(Math.max(...sizes)));
      for (let at = offset, i = 0; at < bytes.length; i++) {
        const buffer = buffers[i % 2] as Uint8Array;
        buffer.fill(0xee);
        const piece = bytes.subarray(at, at + (sizes[i % sizes.length] as number));
        buffer.set(piece);
        yield buffer.subarray(0, piece.length);
        at += piece.length;
      }
      for (const buffer of buffers) buffer.fill(0xee);
    },
  };
}

export const wireBytes = (payload: number): number => payload + Math.ceil(payload / MIB) * 44;
/** Chunks so wide that each frame carries a leaf. */
export const WIDE = { windowBytes: 8 * MIB, chunkBytes: MIB };
export const same = (a: Uint8Array, b: Uint8Array): void => expect(Buffer.compare(a, b)).toBe(0);
export const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));
