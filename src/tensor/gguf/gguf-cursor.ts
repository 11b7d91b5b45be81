// Reads numbers and texts of a GGUF file one after the other, through a small window on it.
import { nextTurn } from '../../core/next-turn.js';
import type { ReadableFile } from '../../core/storage.js';
import { ggufFault } from './gguf-fault.js';

const WINDOW_BYTES = 64 * 1024;

/** A position in a file, which moves as values are read; throws `bad-tensor-file` beyond its end. */
export class GgufCursor {
  readonly #file: ReadableFile;
  readonly #label: string;
  readonly #sizeBytes: number;
  readonly #window: Uint8Array;
  readonly #view: DataView;
  #start = 0;
  #filled = 0;
  #at: number;

  constructor(file: ReadableFile, label: string, at = 0) {
    this.#file = file;
    this.#label = label;
    this.#sizeBytes = file.sizeBytes;
    this.#at = at;
    this.#window = new Uint8Array(Math.min(WINDOW_BYTES, this.#sizeBytes));
    this.#view = new DataView(this.#window.buffer);
  }

  /** The position in the file, in bytes. */
  get at(): number {
    return this.#at;
  }

  async u32(): Promise<number> {
    return this.#view.getUint32(await this.#take(4), true);
  }

  /** A count or a length; beyond 2^53 it is refused. */
  async u64(): Promise<number> {
    const value = this.#view.getBigUint64(await this.#take(8), true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER))
      throw ggufFault(this.#label, `it has a number of ${value} where a size belongs: it is damaged, or no GGUF file; fetch it again`);
    return Number(value);
  }

  /** A number of one of GGUF's scalar types. */
  async scalar(type: number): Promise<number | boolean> {
    const bytes = SCALAR_BYTES[type] as number;
    const offset = await this.#take(bytes);
    const view = this.#view;
    if (type === 0 || type === 7) return type === 7 ? view.getUint8(offset) !== 0 : view.getUint8(offset);
    if (type === 1) return view.getInt8(offset);
    if (type === 2) return view.getUint16(offset, true);
    if (type === 3) return view.getInt16(offset, true);
    if (type === 4) return view.getUint32(offset, true);
    if (type === 5) return view.getInt32(offset, true);
    if (type === 6) return view.getFloat32(offset, true);
    if (type === 12) return view.getFloat64(offset, true);
    return Number(type === 10 ? view.getBigUint64(offset, true) : view.getBigInt64(offset, true));
  }

  /** A text of at most so many bytes, its length before it. */
  async text(mostBytes: number, what: string): Promise<string> {
    const length = await this.u64();
    this.#need(length);
    if (length > mostBytes) throw ggufFault(this.#label, `${what} has ${length} bytes; at most ${mostBytes} are read`);
    const bytes = new Uint8Array(length);
    if (length <= this.#window.length) bytes.set(this.#window.subarray(await this.#take(length)).subarray(0, length));
    else {
      await this.#file.read(bytes, this.#at);
      this.#at += length;
    }
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw ggufFault(this.#label, `${what} is not UTF-8`);
    }
  }

  skip(bytes: number): void {
    this.#need(bytes);
    this.#at += bytes;
  }

  #need(bytes: number): void {
    if (bytes > this.#sizeBytes - this.#at)
      throw ggufFault(this.#label, `it is truncated: byte ${this.#at + bytes} of ${this.#sizeBytes} is asked for; fetch it again`);
  }

  /** Makes so many bytes present in the window, and returns where they begin in it. */
  async #take(bytes: number): Promise<number> {
    this.#need(bytes);
    if (this.#at < this.#start || this.#at + bytes > this.#start + this.#filled) {
      this.#start = this.#at;
      this.#filled = Math.min(this.#window.length, this.#sizeBytes - this.#start);
      await nextTurn();
      await this.#file.read(this.#window.subarray(0, this.#filled), this.#start);
    }
    const offset = this.#at - this.#start;
    this.#at += bytes;
    return offset;
  }
}

/** The types of a value that are no scalars, by their numbers in GGUF. */
export const TEXT = 8;
export const LIST = 9;
/** Bytes of each scalar type by its number. */
export const SCALAR_BYTES: Readonly<Record<number, number>> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };
