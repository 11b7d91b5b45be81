// What one side of a session has for the other to ask for: files of a folder, and state dicts by name.
import type { CodecTable } from '../codec/codec.js';
import { FedStreamError } from '../core/errors.js';
import type { Folder } from '../core/storage.js';
import { checkName } from '../core/storage-name.js';
import type { ByteSource } from '../stream/source.js';
import type { StateDict } from '../tensor/state-dict.js';
import { type Prepared, prepareModel } from './send.js';
import { spoolInfo, spoolSource } from './spool.js';
import type { StreamingMode } from './streaming-mode.js';

/** Folders and codecs of `Offers`. */
export interface OffersOptions {
  readonly codecs: CodecTable;
  /** Every file in it, at any depth, can be asked for by its relative name; nothing outside of it ever is. */
  readonly files?: Folder;
  /** Where models are spooled that are offered in the mode `file` or `regular`. */
  readonly spools: Folder;
}

/** Files that are being written, or that broke off. */
const UNFINISHED = /\.part(\.sums|\.json)?$/;

/** Any number of sessions may share one. */
export class Offers {
  readonly #options: OffersOptions;
  readonly #models = new Map<string, { readonly prepare: () => Promise<Prepared>; prepared?: Promise<Prepared> }>();

  constructor(options: OffersOptions) {
    this.#options = options;
  }

  /** Offers a state dict; it is coded when it is first asked for, once, and served to whoever asks, until it is withdrawn. */
  model(name: string, model: StateDict, mode: StreamingMode): void {
    if (this.#models.has(name)) throw new FedStreamError('bad-argument', `${JSON.stringify(name)} is on offer already`);
    const { codecs, spools } = this.#options;
    const id = `${name.slice(0, 200)} ${crypto.randomUUID()}`;
    const spool = `offered-${id.slice(-36)}.spool`;
    this.#models.set(name, { prepare: () => prepareModel(model, codecs, mode, spools, spool, id) });
  }

  /** Ends an offer; transfers under way that have not read it to the end fail. */
  async withdraw(name: string): Promise<void> {
    const offer = this.#models.get(name);
    this.#models.delete(name);
    await (await offer?.prepared?.catch(() => undefined))?.release();
  }

  async close(): Promise<void> {
    for (const name of [...this.#models.keys()]) await this.withdraw(name);
  }

  /** `not-found` where no model of that name is on offer. */
  async modelSource(name: string): Promise<ByteSource> {
    const offer = this.#models.get(name);
    if (!offer) throw new FedStreamError('not-found', `no model ${JSON.stringify(name)} is on offer`);
    offer.prepared ??= offer.prepare();
    try {
      return (await offer.prepared).source;
    } catch (error) {
      offer.prepared = undefined; // a full disk may have room later
      throw error;
    }
  }

  /**
   * A file as it is now: it is read once for its digest, so that a transfer that broke off goes on only with the very same bytes, and one that is
   * changed while it is sent is found out. `bad-argument` for a name that would leave the folder, `not-found` where there is no such file.
   */
  async fileSource(name: string): Promise<ByteSource> {
    const { files } = this.#options;
    checkName(name);
    if (!files || UNFINISHED.test(name) || (await files.sizeBytes(name)) === undefined)
      throw new FedStreamError('not-found', `no file ${JSON.stringify(name)} is on offer`);
    return spoolSource(files, name, await spoolInfo(files, name));
  }
}
