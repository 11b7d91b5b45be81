// Receives an encoded model a tensor at a time, for a consumer in the same process: each tensor is in memory once, and let go.
import type { CodecTable } from '../codec/codec.js';
import { asFedStreamError } from '../core/errors.js';
import type { IncomingStream, Resume } from '../stream/incoming-stream.js';
import { LEAF_BYTES, LeafSums } from '../stream/leaf-sums.js';
import type { Manifest, TensorEntry } from '../tensor/manifest.js';
import { receivedFigures, type TransferFigures } from './figures.js';
import { checkObjectSize } from './part.js';
import { TensorGrouper } from './tensor-grouper.js';

/** What becomes of the tensors of an object that is received, and how large it may be in bytes. */
export interface ReceiveTensorsOptions {
  readonly codecs: CodecTable;
  /** A larger object is refused (`limit`). */
  readonly maxBytes?: number;
  /**
   * Given each tensor in the order of the manifest, coded as its encoding says; the bytes are borrowed until it returns. Every leaf of it was
   * verified; whether the object as a whole is the one that was announced is known when `receive` resolves, and not before.
   */
  onTensor(tensor: TensorEntry, coded: Uint8Array, manifest: Manifest): void | Promise<void>;
}

/** One object in one try or several: `receive` goes on where the last one broke off, in the middle of a tensor too. Memory: the largest tensor. */
export class TensorReceiver {
  readonly #options: ReceiveTensorsOptions;
  #grouper: TensorGrouper;
  #objectId: string | undefined;
  #sums = new LeafSums();
  #offset = 0;

  constructor(options: ReceiveTensorsOptions) {
    this.#options = options;
    this.#grouper = new TensorGrouper(options.codecs, undefined);
  }

  /** Reads the stream to its end, and confirms or refuses it. */
  async receive(stream: IncomingStream): Promise<TransferFigures> {
    const startedMs = performance.now();
    try {
      checkObjectSize(stream.totalBytes ?? 0, this.#options.maxBytes);
      const resume = this.#resume(stream);
      for await (const leaf of stream.read({ resume })) await this.#take(leaf, stream);
      this.#grouper.finish();
      await stream.confirm();
      return receivedFigures(stream, this.#offset, resume?.offset ?? 0, startedMs);
    } catch (error) {
      const failure = asFedStreamError(error);
      await stream.reject(failure);
      throw failure;
    }
  }

  async #take(leaf: Uint8Array, { sums }: IncomingStream): Promise<void> {
    checkObjectSize(this.#offset + leaf.length, this.#options.maxBytes);
    for (const { tensorIndex, bytes } of this.#grouper.push(leaf)) {
      const { manifest } = this.#grouper;
      if (tensorIndex !== undefined && manifest)
        await this.#options.onTensor(manifest.tensors[tensorIndex] as TensorEntry, bytes, manifest);
    }
    this.#sums.push(sums.at(Math.floor(this.#offset / LEAF_BYTES)));
    this.#offset += leaf.length;
  }

  /** Another object is begun anew. */
  #resume({ objectId, totalBytes }: IncomingStream): Resume | undefined {
    if (objectId !== undefined && objectId === this.#objectId && this.#offset > 0)
      return { offset: this.#offset, sums: new LeafSums(this.#sums.bytes) };
    this.#grouper = new TensorGrouper(this.#options.codecs, totalBytes);
    this.#objectId = objectId;
    this.#sums = new LeafSums();
    this.#offset = 0;
    return undefined;
  }
}
