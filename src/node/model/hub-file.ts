// Fetches one file of the hub to the disk as it comes, goes on with one that was cut off, and checks it.
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, renameSync, rmSync, statfsSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { FedStreamError } from '../../core/errors.js';
import { within } from '../../core/within.js';
import { ioError } from '../storage/io-error.js';

/** A file of a repository: its name, size in bytes, and the digests that the hub gives. */
export interface HubFile {
  readonly path: string;
  readonly size: number;
  /** The name of the blob in the cache. */
  readonly blob: string;
  /** Hex, of large files alone. */
  readonly sha256: string | undefined;
}

/** Options of a download. */
export interface Downloading {
  /** Hears of each file: its name and size in bytes, and then of bytes as they come. */
  readonly onFile?: ((name: string, sizeBytes: number) => { add(bytes: number): void; stop(): void }) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The source of a file, and who hears of its bytes. */
export interface FetchBlobOptions extends Downloading {
  /** The file as a blob that can be read from any position. */
  open(): Promise<Blob>;
}

/** The time without a byte after which a download is given up; the same command goes on. */
const SILENCE_MS = 60_000;

/**
 * Fetches a file unless it is there. Its bytes go to `<target>.incomplete`, which the next try goes
 * on with, and get their name once size and digest are right. Throws `digest`, `timeout`, `io`.
 */
export async function fetchBlob(target: string, file: HubFile, options: FetchBlobOptions): Promise<void> {
  if (existsSync(target)) return;
  const part = `${target}.incomplete`;
  mkdirSync(dirname(target), { recursive: true });
  let done = statSync(part, { throwIfNoEntry: false })?.size ?? 0;
  if (done > file.size) {
    rmSync(part);
    done = 0;
  }
  checkSpace(dirname(target), file, done);
  const progress = options.onFile?.(file.path, file.size);
  progress?.add(done);
  try {
    if (done < file.size || file.size === 0) await append(part, done, file, options, (bytes) => progress?.add(bytes));
  } finally {
    progress?.stop();
  }
  await checkDigest(part, file);
  renameSync(part, target);
}

function checkSpace(folder: string, { path, size }: HubFile, done: number): void {
  const { bavail, bsize } = statfsSync(folder);
  if (size - done <= bavail * bsize) return;
  throw new FedStreamError(
    'io',
    `${path} needs ${size - done} bytes, and ${folder} has ${bavail * bsize} free; free some space, or set HF_HOME to another disk`,
  );
}

async function append(
  part: string,
  from: number,
  { path, size }: HubFile,
  { open: source, signal }: FetchBlobOptions,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const blob = await source();
  const reader = (from === 0 ? blob : blob.slice(from, size)).stream().getReader() as ReadableStreamDefaultReader<Uint8Array>;
  const file = await open(part, from === 0 ? 'w' : 'r+').catch((cause: unknown) => {
    throw ioError(cause, 'write', part);
  });
  let at = from;
  try {
    for (;;) {
      signal?.throwIfAborted();
      const reading = reader.read();
      if (!(await within(reading, SILENCE_MS))) throw new FedStreamError('timeout', `${path} stood still for ${SILENCE_MS / 1000} s`);
      const { done, value } = await reading;
      if (done) break;
      if (at + value.length > size) throw new FedStreamError('digest', `${path} is longer than the ${size} bytes that the hub says`);
      await file.write(value, 0, value.length, at).catch((cause: unknown) => {
        throw ioError(cause, 'write', part);
      });
      at += value.length;
      onBytes(value.length);
    }
  } finally {
    await reader.cancel().catch(() => {});
    await file.close();
  }
  if (at < size) throw new FedStreamError('io', `${path} ended at byte ${at} of ${size}; run the command again, and it goes on from there`);
}

/** A part of yesterday's file and one of today's make neither. */
async function checkDigest(part: string, { path, sha256 }: HubFile): Promise<void> {
  if (sha256 === undefined) return;
  const hash = createHash('sha256');
  for await (const bytes of createReadStream(part, { highWaterMark: 2 ** 20 })) hash.update(bytes as Uint8Array);
  if (hash.digest('hex') === sha256) return;
  rmSync(part);
  throw new FedStreamError('digest', `${path} did not arrive as the hub has it; it was removed: run the command again`);
}
