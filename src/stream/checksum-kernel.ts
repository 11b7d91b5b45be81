// XXH3-64 by the WebAssembly kernel of assembly/checksum.
import { CHECKSUM_WASM } from './checksum-module.js';
import { XXH3_SECRET } from './xxh3.js';

interface ChecksumExports {
  begin(): void;
  blocks(count: number): void;
  blocksAt(from: number, count: number): void;
  finish(from: number, rest: number, total: number): void;
  shortHash(length: number): void;
}

/** These addresses are those of assembly/checksum/memory-map.ts. */
const RESULT = 0x440;
const RESULT_BYTES = 8;
const SECRET = 0x500;
const STAGE = 0x640;
/**
 * Whole blocks of the hash: few calls, and the stage stays in the first-level cache. 8 KiB are a
 * fifth slower (measured).
 */
const STAGE_BYTES = 32 * 1024;
const SHORT_BYTES = 240;
const BLOCK_BYTES = 1024;
/** Pages of 64 KiB that the kernel needs for itself, at the beginning of its memory. */
export const KERNEL_PAGES = 1;

let compiled: WebAssembly.Module | undefined;

const NOTHING = { from: -1, bytes: 0 };

/**
 * Makes checksums of 8 bytes, most significant first. Bytes that lie in the kernel's own memory are
 * hashed there; others are copied through a small stage.
 */
export class ChecksumKernel {
  readonly #run: ChecksumExports;
  readonly #stage: Uint8Array;
  readonly #result: Uint8Array;
  /**
   * The bytes in place that are being hashed as they arrive: where they begin, and how many of them
   * are hashed.
   */
  #begun = NOTHING;
  /**
   * Checksums of bytes in place that arrived whole and were not asked for yet, by where they begin:
   * the next ones may arrive meanwhile.
   */
  readonly #made = new Map<number, { readonly bytes: number; readonly sum: Uint8Array }>();

  /** The first `KERNEL_PAGES` pages of `memory` belong to the kernel. */
  constructor(memory = new WebAssembly.Memory({ initial: KERNEL_PAGES })) {
    compiled ??= new WebAssembly.Module(Uint8Array.from(atob(CHECKSUM_WASM), (character) => character.charCodeAt(0)));
    this.#run = new WebAssembly.Instance(compiled, { env: { memory } }).exports as unknown as ChecksumExports;
    this.#stage = new Uint8Array(memory.buffer, STAGE, STAGE_BYTES);
    this.#result = new Uint8Array(memory.buffer, RESULT, RESULT_BYTES);
    new Uint8Array(memory.buffer).set(XXH3_SECRET, SECRET);
  }

  /** The checksum of bytes anywhere. */
  of(bytes: Uint8Array): Uint8Array {
    this.#begun = NOTHING;
    if (bytes.length > SHORT_BYTES) this.#long(bytes);
    else {
      this.#stage.set(bytes);
      this.#run.shortHash(bytes.length);
    }
    return this.#result.slice();
  }

  /**
   * The checksum of bytes in the kernel's own memory, behind its own pages. They are not copied,
   * and bytes that `ahead` has hashed are not read again.
   */
  inPlace(bytes: Uint8Array): Uint8Array {
    const made = this.#made.get(bytes.byteOffset);
    this.#made.delete(bytes.byteOffset);
    if (made?.bytes === bytes.length) return made.sum;
    if (bytes.length <= SHORT_BYTES) return this.of(bytes);
    const { from, bytes: before } = this.#begun;
    const done = from === bytes.byteOffset && before < bytes.length ? before : 0;
    if (done === 0) this.#run.begin();
    this.#run.finish(bytes.byteOffset + done, bytes.length - done, bytes.length);
    this.#begun = NOTHING;
    return this.#result.slice();
  }

  /**
   * Hashes the beginning of bytes in place, of which more will arrive; one such object at a time.
   */
  ahead(bytes: Uint8Array): void {
    const goesOn = this.#begun.from === bytes.byteOffset;
    if (!goesOn) this.#run.begin();
    const done = goesOn ? this.#begun.bytes : 0;
    // The last byte is left to `finish`.
    const count = Math.max(0, Math.floor((bytes.length - done - 1) / BLOCK_BYTES));
    this.#run.blocksAt(bytes.byteOffset + done, count);
    this.#begun = { from: bytes.byteOffset, bytes: done + count * BLOCK_BYTES };
  }

  /**
   * Hashes bytes in place that `ahead` began and that are complete now, and keeps the checksum
   * until `inPlace` asks for it.
   */
  whole(bytes: Uint8Array): void {
    this.#made.set(bytes.byteOffset, { bytes: bytes.length, sum: this.inPlace(bytes) });
  }

  /** Forgets all checksums in this memory, since other bytes will be written there. */
  forget(bytes: Uint8Array): void {
    this.#begun = NOTHING;
    for (const from of this.#made.keys()) if (from >= bytes.byteOffset && from < bytes.byteOffset + bytes.length) this.#made.delete(from);
  }

  #long(bytes: Uint8Array): void {
    this.#run.begin();
    let at = 0;
    for (; bytes.length - at > STAGE_BYTES; at += STAGE_BYTES) {
      this.#stage.set(bytes.subarray(at, at + STAGE_BYTES));
      this.#run.blocks(STAGE_BYTES / BLOCK_BYTES);
    }
    this.#stage.set(bytes.subarray(at));
    this.#run.finish(STAGE, bytes.length - at, bytes.length);
  }
}
