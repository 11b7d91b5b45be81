// The objects that a relay passes on as they came: kept as spools while its own sites may fetch them.
import type { CodecTable } from '../codec/codec.js';
import type { Folder } from '../core/storage.js';
import type { ReceivedModel, ServerLink } from '../site/server-link.js';
import type { ByteSource } from '../stream/source.js';
import { type SpoolInfo, spoolInfo, spoolSource, writeSpool } from '../transfer/spool.js';

const ENDING = '.spool';

/** Objects by their names, in a folder of their own. */
export class PassedObjects {
  readonly #folder: Folder;
  readonly #codecs: CodecTable;
  /** Sizes and checksums of spools, each read once in a process. */
  readonly #infos = new Map<string, SpoolInfo>();

  constructor(folder: Folder, codecs: CodecTable) {
    this.#folder = folder;
    this.#codecs = codecs;
  }

  /** The object as a source for sites; undefined where it did not come this way. */
  async source(object: string): Promise<(ByteSource & { readonly totalBytes: number }) | undefined> {
    const name = object + ENDING;
    if ((await this.#folder.sizeBytes(name)) === undefined) return undefined;
    const info = this.#infos.get(name) ?? (await spoolInfo(this.#folder, name));
    this.#infos.set(name, info);
    return { ...spoolSource(this.#folder, name, info), totalBytes: info.totalBytes };
  }

  /** The link, of which each model that is fetched is kept, and those that the task does not name are removed. */
  keeping(link: ServerLink): Pick<ServerLink, 'fetchModel' | 'fetchManifest' | 'hasBase'> {
    return {
      fetchManifest: () => link.fetchManifest(),
      hasBase: (task) => link.hasBase(task),
      fetchModel: async (object, among, bounds) => {
        const received = await link.fetchModel(object, among, bounds);
        try {
          await this.#keep(object, among, received);
        } catch (error) {
          await received.release();
          throw error;
        }
        return received;
      },
    };
  }

  async #keep(object: string, among: readonly string[], { model }: ReceivedModel): Promise<void> {
    const needed = new Set(among.map((name) => name + ENDING));
    for (const name of await this.#folder.list()) if (!needed.has(name)) await this.#folder.remove(name);
    const name = object + ENDING;
    // A spool is there whole or not at all; one of an earlier process has the same bytes.
    if ((await this.#folder.sizeBytes(name)) !== undefined) return;
    this.#infos.set(name, await writeSpool(model, this.#codecs, this.#folder, name, { durable: false }));
  }
}
