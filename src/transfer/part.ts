// An object that has not arrived whole: its bytes, the checksums of its leaves, and its identity.
import { FedStreamError } from '../core/errors.js';
import type { Folder, WritableFile } from '../core/storage.js';
import { readText, writeText } from '../core/storage-text.js';
import { CHECKSUM_BYTES } from '../stream/digest.js';
import { checksumOf } from '../stream/hashed-memory.js';
import type { IncomingStream, Resume } from '../stream/incoming-stream.js';
import { LEAF_BYTES, LeafSums } from '../stream/leaf-sums.js';
import { readPieces } from './spool.js';

/** The checksums of a TiB: a file of more is not read. */
const MAX_SUMS_BYTES = 8 * 2 ** 20;

/**
 * The files `<name>.part`, `<name>.part.sums` and `<name>.part.json` of a folder
 * (docs/spec/spool.md).
 */
export class Part {
  readonly #folder: Folder;
  readonly #name: string;
  /** Set where the object was found not to fit, so that nothing of it is of use. */
  refused = false;

  constructor(folder: Folder, name: string) {
    this.#folder = folder;
    this.#name = name;
  }

  get file(): string {
    return `${this.#name}.part`;
  }

  /**
   * Finds what an earlier attempt at the very same object left: leaf by leaf, each compared with
   * the checksum that it arrived with, up to the first that does not match. Undefined if there is
   * nothing to resume.
   */
  async resume({ objectId, totalBytes }: IncomingStream): Promise<Resume | undefined> {
    if (objectId === undefined || (await readText(this.#folder, this.#of)) !== identity(objectId)) return undefined;
    let size = await this.#folder.sizeBytes(this.file);
    if (size === undefined) {
      // A process that ended between the last byte and its confirmation left the object under its
      // final name. If there is a part as well, the file of that name is an older object.
      size = await this.#folder.sizeBytes(this.#name);
      if (size === undefined) return undefined;
      await this.#folder.rename(this.#name, this.file);
    }
    const sums = await this.#verified(size);
    const offset = sums.count * LEAF_BYTES;
    if (offset <= size) return offset === 0 ? undefined : { offset, sums };
    // A short leaf counts only if the object ends with it.
    if (size === totalBytes) return { offset: size, sums };
    sums.keep(sums.count - 1);
    return sums.count === 0 ? undefined : { offset: sums.count * LEAF_BYTES, sums };
  }

  async #verified(size: number): Promise<LeafSums> {
    const known = await this.#knownSums();
    const verified = new LeafSums();
    const end = Math.min(size, known.count * LEAF_BYTES);
    for await (const leaf of readPieces(this.#folder, this.file, end)) {
      const sum = checksumOf(leaf);
      if (!known.matches(verified.count, sum)) break;
      verified.push(sum);
    }
    return verified;
  }

  async #knownSums(): Promise<LeafSums> {
    const size = (await this.#folder.sizeBytes(this.#sums)) ?? 0;
    if (size === 0 || size > MAX_SUMS_BYTES) return new LeafSums();
    const bytes = new Uint8Array(size);
    const file = await this.#folder.open(this.#sums);
    try {
      await file.read(bytes, 0);
    } finally {
      await file.close();
    }
    return new LeafSums(bytes);
  }

  /** Opens the part for writing from `resume` on; without `resume` it is begun anew. */
  async write(objectId: string | undefined, resume: Resume | undefined): Promise<PartWriter> {
    if (!resume) await this.remove();
    const file = await this.#folder.create(this.file, { keep: resume !== undefined, renamed: true });
    if (objectId === undefined) return new PartWriter(file, undefined, 0);
    const sums = await this.#folder.create(this.#sums, { keep: resume !== undefined });
    if (!resume) await writeText(this.#folder, this.#of, identity(objectId), { durable: false });
    return new PartWriter(file, sums, resume?.offset ?? 0);
  }

  /**
   * Gives the whole object its final name. The file with its identity stays until `settle`: a
   * restarted process learns from it which object this is.
   */
  async finish(durable: boolean): Promise<void> {
    await this.#folder.rename(this.file, this.#name, { durable });
  }

  /** Removes the identity, once all who need to know that the object is whole do. */
  async settle(): Promise<void> {
    await this.#folder.remove(this.#of);
    await this.#folder.remove(this.#sums);
  }

  /**
   * Removes a part that cannot be used, its bytes last: without them, the identity would be taken
   * for that of the file under the final name.
   */
  async remove(): Promise<void> {
    await this.settle();
    await this.#folder.remove(this.file);
  }

  get #sums(): string {
    return `${this.file}.sums`;
  }

  get #of(): string {
    return `${this.file}.json`;
  }
}

/** Appends to a part and to its checksums. */
export class PartWriter {
  readonly #file: WritableFile;
  readonly #sums: WritableFile | undefined;
  #position: number;
  #noted: number;

  constructor(file: WritableFile, sums: WritableFile | undefined, position: number) {
    this.#file = file;
    this.#sums = sums;
    this.#position = position;
    this.#noted = Math.floor(position / LEAF_BYTES);
  }

  get position(): number {
    return this.#position;
  }

  /**
   * Appends verified bytes. `sums` are the checksums of the leaves so far, and may be ahead of the
   * bytes: a resuming receiver compares both.
   */
  async append(bytes: Uint8Array, sums: LeafSums): Promise<void> {
    await this.#file.write(bytes, this.#position);
    this.#position += bytes.length;
    if (!this.#sums) return;
    for (; this.#noted < sums.count; this.#noted++) await this.#sums.write(sums.at(this.#noted), this.#noted * CHECKSUM_BYTES);
  }

  async sync(): Promise<void> {
    await this.#file.sync();
  }

  async close(): Promise<void> {
    await this.#file.close();
    await this.#sums?.close();
  }
}

function identity(objectId: string): string {
  return JSON.stringify({ id: objectId });
}

/** Throws `limit` if an object is larger than its receiver accepts. */
export function checkObjectSize(bytes: number, maxBytes: number = Number.POSITIVE_INFINITY): void {
  if (bytes > maxBytes) throw new FedStreamError('limit', `an object of ${bytes} bytes or more was sent; at most ${maxBytes} are taken`);
}
