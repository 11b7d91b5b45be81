// Broadcasts of whole models that sites keep: each has a digest, so that a site which holds it is
// not sent it again.
import type { CodecTable } from '../codec/codec.js';
import { contentDigest } from '../exchange/content-digest.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { Broadcast, Broadcaster, EarlierBroadcast } from './broadcast.js';

/** The broadcasts of another broadcaster of whole models, with the digest of what a site then holds. */
export class KeptBroadcaster implements Broadcaster {
  readonly #whole: Broadcaster;
  readonly #codecs: CodecTable;

  constructor(whole: Broadcaster, codecs: CodecTable) {
    this.#whole = whole;
    this.#codecs = codecs;
  }

  async prepare(version: number, model: StateDict, modelFile: string): Promise<Broadcast> {
    const broadcast = await this.#whole.prepare(version, model, modelFile);
    const digest = await contentDigest(broadcast.held, this.#codecs);
    // No update leads to it: a site holds this very model, or takes the whole one.
    return { ...broadcast, model: { ...broadcast.model, digest, updates: [] } };
  }

  reopen(earlier: EarlierBroadcast): Promise<Broadcast> {
    return this.#whole.reopen(earlier);
  }

  needs(): Promise<readonly string[]> {
    return this.#whole.needs();
  }
}
