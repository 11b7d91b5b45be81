// Groups the bytes of an arriving object into whole tensors, for the mode `container`.
import { checkSizesBytes, parseSizes } from '../codec/chunk-sizes.js';
import type { CodecTable } from '../codec/codec.js';
import { type TensorLayout, tensorLayouts } from '../codec/layout.js';
import { FedStreamError } from '../core/errors.js';
import { GrowingBuffer } from '../core/growing-buffer.js';
import type { Manifest, TensorEntry } from '../tensor/manifest.js';
import { ManifestReader } from '../tensor/manifest-reader.js';
import { OBJECT_PREFIX_BYTES, parseObjectPrefix } from './object.js';

/** A part of an object that has arrived whole. */
export interface WholePart {
  /** Position in the manifest; undefined for the parts before the tensors. */
  readonly tensorIndex: number | undefined;
  /** Borrowed: valid until the next part. */
  readonly bytes: Uint8Array;
}

/**
 * Holds one tensor (or the manifest), in one buffer for all; memory grows with the bytes that
 * arrive, never with a declared size.
 */
export class TensorGrouper {
  readonly #codecs: CodecTable;
  readonly #claimedBytes: number | undefined;
  readonly #buffer = new GrowingBuffer();
  #filled = 0;
  #wanted = OBJECT_PREFIX_BYTES;
  #manifest: Manifest | undefined;
  /** Reads the manifest while it arrives, so that a long one takes no long pause at its end. */
  readonly #reader = new ManifestReader('the transfer');
  #tensors: readonly TensorLayout[] = [];
  /**
   * True while the sizes of the current tensor's chunks, and so the number of its bytes, have not
   * arrived.
   */
  #unsized = false;
  #stage: 'prefix' | 'manifest' | number = 'prefix';

  constructor(codecs: CodecTable, claimedBytes: number | undefined) {
    this.#codecs = codecs;
    this.#claimedBytes = claimedBytes;
    this.#buffer.reserve(OBJECT_PREFIX_BYTES, 'a prefix');
  }

  /** The manifest once it has arrived, which is before any tensor. */
  get manifest(): Manifest | undefined {
    return this.#manifest;
  }

  /**
   * Yields the parts that become whole with these bytes: prefix, manifest, then each tensor's coded
   * bytes. Take each part before you ask for the next.
   */
  *push(bytes: Uint8Array): Generator<WholePart> {
    for (let at = 0; at < bytes.length; ) {
      if (this.#ended) throw notWhole();
      const piece = bytes.subarray(at, at + this.#wanted - this.#filled);
      at += piece.length;
      if (this.#stage === 'manifest') this.#reader.push(piece);
      // A tensor that arrives in one piece, as small ones do, is not copied.
      const whole = piece.length === this.#wanted && !this.#unsized;
      if (!whole) this.#buffer.set(piece, this.#filled);
      this.#filled += piece.length;
      if (this.#filled < this.#wanted) return;
      if (this.#unsized && !this.#sized()) continue;
      yield* this.#ending(whole ? piece : this.#buffer.view(this.#filled));
    }
  }

  /** Throws `bad-manifest` if the object ended inside a part. */
  finish(): void {
    if (!this.#ended) throw notWhole();
  }

  get #ended(): boolean {
    return this.#stage === this.#manifest?.tensors.length;
  }

  /** The part that is whole, and the tensors without bytes that follow it. */
  *#ending(bytes: Uint8Array): Generator<WholePart> {
    const tensorIndex = typeof this.#stage === 'number' ? this.#stage : undefined;
    const next = this.#advance(bytes);
    yield { tensorIndex, bytes };
    this.#filled = 0;
    this.#wanted = next;
    while (this.#wanted === 0 && !this.#ended) {
      yield { tensorIndex: this.#stage as number, bytes: bytes.subarray(0, 0) };
      this.#wanted = this.#toTensor((this.#stage as number) + 1);
    }
  }

  /** Goes on to the next stage, and returns the number of its bytes. */
  #advance(part: Uint8Array): number {
    if (this.#stage === 'prefix') {
      const manifestBytes = parseObjectPrefix(part, 'the transfer');
      if (manifestBytes > (this.#claimedBytes ?? manifestBytes))
        throw new FedStreamError('bad-manifest', 'the manifest of the transfer is longer than the transfer');
      this.#stage = 'manifest';
      this.#buffer.reserve(manifestBytes, 'the manifest of the transfer');
      return manifestBytes;
    }
    if (this.#stage !== 'manifest') return this.#toTensor(this.#stage + 1);
    const manifest = this.#reader.finish();
    this.#tensors = tensorLayouts(manifest, this.#codecs);
    checkSizesBytes(this.#tensors, 'the transfer');
    this.#manifest = manifest;
    this.#reserveLargest(manifest);
    return this.#toTensor(0);
  }

  /** Begins a tensor; returns its number of bytes, or that of its table of sizes. */
  #toTensor(index: number): number {
    this.#stage = index;
    const tensor = this.#tensors[index];
    this.#unsized = tensor?.varies === true;
    return (this.#unsized ? tensor?.tableBytes : tensor?.mostBytes) ?? 0;
  }

  /**
   * Takes the sizes of a tensor's chunks, which are part of the tensor; true if it is whole with
   * them.
   */
  #sized(): boolean {
    const manifest = this.#manifest as Manifest;
    const index = this.#stage as number;
    const layout = this.#tensors[index] as TensorLayout;
    const table = this.#buffer.view(this.#filled);
    const sizes = parseSizes(table, manifest.tensors[index] as TensorEntry, layout, manifest, 'the transfer');
    this.#wanted += sizes.reduce((total, size) => total + size, 0);
    this.#unsized = false;
    return this.#filled === this.#wanted;
  }

  /** Reserves addresses once, so that the buffer never moves afterwards. */
  #reserveLargest({ tensors }: Manifest): void {
    const most = ({ tableBytes, mostBytes }: TensorLayout): number => tableBytes + mostBytes;
    let largest: TensorLayout | undefined;
    for (const tensor of this.#tensors) if (!largest || most(tensor) > most(largest)) largest = tensor;
    if (largest) this.#buffer.reserve(most(largest), `tensor ${tensors[this.#tensors.indexOf(largest)]?.name}`);
  }
}

function notWhole(): FedStreamError {
  return new FedStreamError('bad-manifest', 'an encoded model ended inside a tensor, or went on behind the last one');
}
