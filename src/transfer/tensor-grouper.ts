// Container mode: the bytes of an object as they come in, given on a tensor at a time.
import type { CodecTable } from '../codec/codec.js';
import type { Layout } from '../codec/layout.js';
import { FedStreamError } from '../core/errors.js';
import { OBJECT_PREFIX_BYTES, parseObjectManifest, parseObjectPrefix } from './object.js';

/** Holds at most one tensor (or the manifest); memory grows with what has arrived, never with what was declared. */
export class TensorGrouper {
  readonly #codecs: CodecTable;
  readonly #claimedBytes: number | undefined;
  #pieces: Uint8Array[] = [];
  #pendingBytes = 0;
  #wanted = OBJECT_PREFIX_BYTES;
  #layout: Layout | undefined;
  #stage: 'prefix' | 'manifest' | number = 'prefix';

  constructor(codecs: CodecTable, claimedBytes: number | undefined) {
    this.#codecs = codecs;
    this.#claimedBytes = claimedBytes;
  }

  /** The parts that are whole now: prefix, manifest, then each tensor's coded bytes. */
  push(bytes: Uint8Array): Uint8Array[] {
    // The stream's buffer is its own only until the next chunk.
    this.#pieces.push(bytes.slice());
    this.#pendingBytes += bytes.length;
    const whole: Uint8Array[] = [];
    while (this.#pendingBytes >= this.#wanted && this.#stage !== this.#layout?.manifest.tensors.length) {
      const part = this.#take(this.#wanted);
      this.#advance(part);
      whole.push(part);
    }
    return whole;
  }

  /** Throws `bad-manifest` where the object ended inside a part, or went on behind the last. */
  finish(): Uint8Array[] {
    const ended = this.#layout !== undefined && this.#stage === this.#layout.manifest.tensors.length && this.#pendingBytes === 0;
    if (!ended) throw new FedStreamError('bad-manifest', 'an encoded model ended inside a tensor, or went on behind the last one');
    return [];
  }

  #advance(part: Uint8Array): void {
    if (this.#stage === 'prefix') {
      this.#wanted = parseObjectPrefix(part, 'the transfer');
      if (this.#wanted > (this.#claimedBytes ?? this.#wanted))
        throw new FedStreamError('bad-manifest', 'the manifest of the transfer is longer than the transfer');
      this.#stage = 'manifest';
      return;
    }
    if (this.#stage === 'manifest') this.#layout = parseObjectManifest(part, this.#codecs, 'the transfer');
    this.#stage = this.#stage === 'manifest' ? 0 : this.#stage + 1;
    const layout = this.#layout as Layout;
    this.#wanted = this.#stage < layout.manifest.tensors.length ? layout.tensorBytes(this.#stage) : 0;
  }

  /** Many small tensors come in one piece: they are views of it. */
  #take(length: number): Uint8Array {
    this.#pendingBytes -= length;
    const first = this.#pieces[0];
    if (!first || first.length > length) {
      if (first) this.#pieces[0] = first.subarray(length);
      return first?.subarray(0, length) ?? new Uint8Array(0);
    }
    const joined = new Uint8Array(length);
    let used = 0;
    for (let at = 0; at < length; used++) {
      const piece = (this.#pieces[used] as Uint8Array).subarray(0, length - at);
      joined.set(piece, at);
      at += piece.length;
      const rest = (this.#pieces[used] as Uint8Array).subarray(piece.length);
      if (rest.length > 0) {
        this.#pieces[used] = rest;
        break;
      }
    }
    this.#pieces.splice(0, used);
    return joined;
  }
}
