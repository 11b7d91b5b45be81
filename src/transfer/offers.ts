// Files and state dicts that one side of a session offers to the other, by name.
import type { CodecTable } from '../codec/codec.js';
import { FedStreamError } from '../core/errors.js';
import type { Folder } from '../core/storage.js';
import { checkName } from '../core/storage-name.js';
import type { ByteSource } from '../stream/source.js';
import type { StateDict } from '../tensor/state-dict.js';
import { type Prepared, prepareAhead } from './send.js';
import { spoolInfo, spoolSource } from './spool.js';
import type { StreamingMode } from './streaming-mode.js';

/** Folders and codecs of `Offers`. */
export interface OffersOptions {
  readonly codecs: CodecTable;
  /**
   * A folder of which every file, at any depth, can be requested by its relative name; nothing
   * outside of it ever is.
   */
  readonly files?: Folder;
  /** The folder of spools, for models that are offered in the mode `file` or `regular`. */
  readonly spools: Folder;
}

/** Names of files that are being written, or that broke off. */
const UNFINISHED = /\.part(\.sums|\.json)?$/;

/** The files and models on offer; any number of sessions may share them. */
export class Offers {
  readonly #options: OffersOptions;
  /** Sources of files that are being read for their digest. */
  readonly #reading = new Map<string, Promise<ByteSource>>();
  readonly #models = new Map<string, { readonly prepare: () => Promise<Prepared>; prepared?: Promise<Prepared> }>();

  constructor(options: OffersOptions) {
    this.#options = options;
  }

  /**
   * Offers a state dict. It is coded once, when it is first requested, and served to every request
   * until it is withdrawn. Throws `bad-argument` if the name is taken.
   */
  model(name: string, model: StateDict, mode: StreamingMode): void {
    if (this.#models.has(name)) throw new FedStreamError('bad-argument', `${JSON.stringify(name)} is on offer already`);
    const { codecs, spools } = this.#options;
    const id = `${name.slice(0, 200)} ${crypto.randomUUID()}`;
    const spool = `offered-${id.slice(-36)}.spool`;
    this.#models.set(name, { prepare: () => prepareAhead(model, codecs, mode, spools, spool, id) });
  }

  /** Ends an offer; transfers that have not read it to the end fail. */
  async withdraw(name: string): Promise<void> {
    const offer = this.#models.get(name);
    this.#models.delete(name);
    await (await offer?.prepared?.catch(() => undefined))?.release();
  }

  async close(): Promise<void> {
    for (const name of [...this.#models.keys()]) await this.withdraw(name);
  }

  /** The bytes of an offered model; `not-found` if no model of that name is on offer. */
  async modelSource(name: string): Promise<ByteSource> {
    const offer = this.#models.get(name);
    if (!offer) throw new FedStreamError('not-found', `no model ${JSON.stringify(name)} is on offer`);
    offer.prepared ??= offer.prepare();
    const { prepared } = offer;
    const failed = (): void => {
      if (offer.prepared === prepared) offer.prepared = undefined; // a full disk may have room later
    };
    try {
      const { source, whole } = await prepared;
      whole?.catch(failed);
      return source;
    } catch (error) {
      failed();
      throw error;
    }
  }

  /**
   * The bytes of a file as it is now. It is read once for its digest, so that a transfer that broke
   * off is resumed only with the very same bytes, and a file that changes while it is sent is found
   * out. Throws `bad-argument` for a name that would leave the folder, `not-found` if there is no
   * such file.
   */
  async fileSource(name: string): Promise<ByteSource> {
    const { files } = this.#options;
    checkName(name);
    if (!files || UNFINISHED.test(name) || (await files.sizeBytes(name)) === undefined)
      throw new FedStreamError('not-found', `no file ${JSON.stringify(name)} is on offer`);
    // Whoever asks meanwhile gets the same: a large file is not read once for each request.
    const reading = this.#reading.get(name) ?? spoolInfo(files, name).then((info) => spoolSource(files, name, info));
    this.#reading.set(name, reading);
    return reading.finally(() => this.#reading.delete(name));
  }
}
