// Container mode: the bytes of an object as they come in, given on a tensor at a time.
import type { CodecTable } from '../codec/codec.js';
import type { Layout } from '../codec/layout.js';
import { FedStreamError } from '../core/errors.js';
import { GrowingBuffer } from '../core/growing-buffer.js';
import type { Manifest } from '../tensor/manifest.js';
import { OBJECT_PREFIX_BYTES, parseObjectManifest, parseObjectPrefix } from './object.js';

/** A part of an object that is whole now. */
export interface WholePart {
  /** Position in the manifest; undefined for what comes before the tensors. */
  readonly tensorIndex: number | undefined;
  /** Borrowed: valid until the next part. */
  readonly bytes: Uint8Array;
}

/** Holds one tensor (or the manifest), in one buffer for all; memory grows with what has arrived, never with what was declared. */
export class TensorGrouper {
  readonly #codecs: CodecTable;
  readonly #claimedBytes: number | undefined;
  readonly #buffer = new GrowingBuffer();
  #filled = 0;
  #wanted = OBJECT_PREFIX_BYTES;
  #layout: Layout | undefined;
  #stage: 'prefix' | 'manifest' | number = 'prefix';

  constructor(codecs: CodecTable, claimedBytes: number | undefined) {
    this.#codecs = codecs;
    this.#claimedBytes = claimedBytes;
    this.#buffer.reserve(OBJECT_PREFIX_BYTES, 'a prefix');
  }

  /** Once it has come; a tensor is never given before. */
  get manifest(): Manifest | undefined {
    return this.#layout?.manifest;
  }

  /** The parts that become whole with these bytes: prefix, manifest, then each tensor's coded bytes. Take each before you ask for the next. */
  *push(bytes: Uint8Array): Generator<WholePart> {
    for (let at = 0; at < bytes.length; ) {
      if (this.#ended) throw notWhole();
      const piece = bytes.subarray(at, at + this.#wanted - this.#filled);
      at += piece.length;
      // Of a tensor that comes in one piece, as small ones do, nothing is kept.
      const whole = piece.length === this.#wanted;
      if (!whole) this.#buffer.set(piece, this.#filled);
      this.#filled += piece.length;
      if (this.#filled < this.#wanted) return;
      yield* this.#ending(whole ? piece : this.#buffer.view(this.#filled));
    }
  }

  /** Throws `bad-manifest` where the object ended inside a part. */
  finish(): void {
    if (!this.#ended) throw notWhole();
  }

  get #ended(): boolean {
    return this.#stage === this.#layout?.manifest.tensors.length;
  }

  /** The part that is whole, and the tensors behind it that have no byte. */
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

  /** Goes on to the next stage; returns its bytes. */
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
    const layout = parseObjectManifest(part, this.#codecs, 'the transfer');
    this.#layout = layout;
    this.#reserveLargest(layout);
    return this.#toTensor(0);
  }

  #toTensor(index: number): number {
    const { manifest, tensorBytes } = this.#layout as Layout;
    this.#stage = index;
    return index < manifest.tensors.length ? tensorBytes(index) : 0;
  }

  /** Once: the buffer never moves afterwards. */
  #reserveLargest({ manifest, tensorBytes }: Layout): void {
    let largest = 0;
    for (let index = 1; index < manifest.tensors.length; index++) if (tensorBytes(index) > tensorBytes(largest)) largest = index;
    const tensor = manifest.tensors[largest];
    if (tensor) this.#buffer.reserve(tensorBytes(largest), `tensor ${tensor.name}`);
  }
}

function notWhole(): FedStreamError {
  return new FedStreamError('bad-manifest', 'an encoded model ended inside a tensor, or went on behind the last one');
}
