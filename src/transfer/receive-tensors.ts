// Receives an encoded model tensor by tensor, for a consumer in the same process.
import type { CodecTable } from '../codec/codec.js';
import { asFedStreamError } from '../core/errors.js';
import type { IncomingStream, Resume } from '../stream/incoming-stream.js';
import { LEAF_BYTES, LeafSums } from '../stream/leaf-sums.js';
import type { Manifest, TensorEntry } from '../tensor/manifest.js';
import { receivedFigures, type TransferFigures } from './figures.js';
import { checkObjectSize } from './part.js';
import { TensorGrouper } from './tensor-grouper.js';

/** The consumer of a received object's tensors, and the most bytes that it may have. */
export interface ReceiveTensorsOptions {
  readonly codecs: CodecTable;
  /** A larger object is refused (`limit`). */
  readonly maxBytes?: number;
  /**
   * Called with each tensor in the order of the manifest, coded by its encoding; the bytes are
   * borrowed until it returns. Every leaf of the tensor was verified. The object as a whole is
   * known to be the announced one only when `receive` resolves.
   */
  onTensor(tensor: TensorEntry, coded: Uint8Array, manifest: Manifest): void | Promise<void>;
}

/**
 * Receives one object in one attempt or several: `receive` resumes where the last one broke off,
 * even in the middle of a tensor. It needs memory for the largest tensor.
 */
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

  /** Another object than the last one is begun anew. */
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
