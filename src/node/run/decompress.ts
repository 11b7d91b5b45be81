// Expands gzip and Zstandard while a file is read, within the budget of expansion.
import { PassThrough, pipeline, Readable, type Transform } from 'node:stream';
import * as zlib from 'node:zlib';
import { BUDGETS } from '../../core/budgets.js';
import { FedStreamError } from '../../core/errors.js';
import { needPackage } from '../drivers/need-package.js';

const FREE_BYTES = 64 * 1024 * 1024;

/** The bytes that are in a compressed file; throws `bad-data` for broken ones, `limit` beyond the budget. */
export async function* expanded(
  bytes: AsyncIterable<Uint8Array>,
  kind: 'gzip' | 'zstd',
  sizeBytes: number,
  path: string,
): AsyncGenerator<Uint8Array> {
  const mostBytes = Math.max(FREE_BYTES, sizeBytes * BUDGETS.expansion.limit);
  let length = 0;
  try {
    for await (const piece of kind === 'gzip' ? throughNode(bytes, zlib.createGunzip()) : await zstd(bytes)) {
      length += piece.length;
      if (length > mostBytes)
        throw new FedStreamError(
          'limit',
          `${path} expands to more than ${mostBytes} bytes, ${BUDGETS.expansion.limit} times its size; unpack it first if that is meant`,
        );
      yield piece;
    }
  } catch (cause) {
    if (cause instanceof FedStreamError) throw cause;
    throw new FedStreamError('bad-data', `${path} is ${kind} that is broken or cut off (${(cause as Error).message}); fetch it again`, {
      cause,
    });
  }
}

function throughNode(bytes: AsyncIterable<Uint8Array>, transform: Transform): AsyncIterable<Uint8Array> {
  const out = new PassThrough();
  pipeline(Readable.from(bytes), transform, out, () => {});
  return out;
}

/** Node expands Zstandard itself from 22.15 on. */
async function zstd(bytes: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  const native = (zlib as { createZstdDecompress?: () => Transform }).createZstdDecompress;
  if (native) return throughNode(bytes, native());
  const { Decompress } = await needPackage('fzstd', 'Zstandard under Node before 22.15', () => import('fzstd'));
  return throughPackage(bytes, new Decompress());
}

interface Decompressor {
  ondata: (piece: Uint8Array, final?: boolean) => unknown;
  push(piece: Uint8Array, final?: boolean): void;
}

/** Small pieces go in, since all that is in one comes out at once. */
const PIECE_BYTES = 4096;

async function* throughPackage(bytes: AsyncIterable<Uint8Array>, decompressor: Decompressor): AsyncGenerator<Uint8Array> {
  let ready: Uint8Array[] = [];
  decompressor.ondata = (piece) => ready.push(piece.slice());
  for await (const piece of bytes) {
    for (let at = 0; at < piece.length; at += PIECE_BYTES) {
      decompressor.push(piece.subarray(at, at + PIECE_BYTES));
      yield* ready;
      ready = [];
    }
  }
  decompressor.push(new Uint8Array(0), true);
  yield* ready;
}
