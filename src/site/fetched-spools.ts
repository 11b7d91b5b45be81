// The spools of what a site fetches, in its own folder: their names, their room, and their removal.
import { BUDGETS } from '../core/budgets.js';
import type { Folder } from '../core/storage.js';
import { DiskRoom } from '../transfer/disk-room.js';
import { earlierBytes } from './earlier-runs.js';
import { RESULT_SPOOL } from './kept-result.js';
import { folderOfRun, nameOfRun } from './run-place.js';

/** The kinds of objects that a site fetches; each begins the names of its spools. */
export const FETCHED_KINDS = ['received', 'extras'] as const;
/** A kind of fetched object. */
export type FetchedKind = (typeof FETCHED_KINDS)[number];

/** The folder of the objects that a relay passes on, in that of the run. */
export const RELAYED_FOLDER = 'relayed';
/** Folders of models that a site keeps because of a server; `PARTS_FOLDER` has a folder for each part. */
const KEPT_FOLDERS = ['held', 'residual', RELAYED_FOLDER];
/** The folder for all that is kept of a model that is exchanged in parts. */
export const PARTS_FOLDER = 'parts';
/** Files that go with an object that has not arrived whole (docs/spec/spool.md). */
const ENDINGS = ['', '.part', '.part.sums', '.part.json'];

/** The spools in the folder of a site's run. */
export class FetchedSpools {
  readonly #site: Folder;
  readonly #run: string;
  readonly #folder: Folder;
  readonly #diskBytes: number | undefined;
  #room: Promise<DiskRoom> | undefined;

  /**
   * `site` is the site's own folder, in which that of the run is. `diskBytes` is the owner's limit;
   * by default a share of the space that was free.
   */
  constructor(site: Folder, run: string, diskBytes: number | undefined) {
    this.#site = site;
    this.#run = run;
    this.#folder = folderOfRun(site, run);
    this.#diskBytes = diskBytes;
  }

  name(kind: FetchedKind, object: string): string {
    return `${kind}-${object}.spool`;
  }

  /** The room for all that servers make this site keep. */
  room(): Promise<DiskRoom> {
    this.#room ??= this.#makeRoom();
    return this.#room;
  }

  /** Removes the spools of a kind but those of these objects: nobody will ask for them again. */
  async keepOnly(kind: FetchedKind, objects: readonly string[]): Promise<void> {
    const kept = new Set(objects.flatMap((object) => ENDINGS.map((ending) => this.name(kind, object) + ending)));
    for (const file of await this.#folder.list()) if (file.startsWith(`${kind}-`) && !kept.has(file)) await this.#folder.remove(file);
  }

  /** Removes a spool, whole or in part. */
  async remove(name: string): Promise<void> {
    // The bytes go last: without them, the identity would be taken for that of a whole object.
    for (const ending of [...ENDINGS].reverse()) await this.#folder.remove(name + ending);
  }

  async #makeRoom(): Promise<DiskRoom> {
    // The run's folder is on the disk of the site's.
    const folder = this.#site;
    const used = async (): Promise<number> => (await this.#usedBytes()) + (await earlierBytes(this.#site, nameOfRun(this.#run)));
    if (this.#diskBytes !== undefined)
      return new DiskRoom({ folder, limitBytes: this.#diskBytes, limitedBy: '"diskBytes" of this site', where: folder.label, used });
    const limitBytes = await shareBytes(folder, await used());
    const limitedBy = `half of the disk's free space ("diskBytes" in the site's configuration)`;
    return new DiskRoom({ folder, limitBytes, limitedBy, where: folder.label, used });
  }

  /** The most bytes of all that servers make this site keep; undefined where nothing says so. */
  async mostBytes(): Promise<number | undefined> {
    return this.#diskBytes ?? shareBytes(this.#site, await earlierBytes(this.#site, nameOfRun(this.#run)));
  }

  async #usedBytes(): Promise<number> {
    let bytes = 0;
    const isSpool = (name: string): boolean => name.startsWith(RESULT_SPOOL) || FETCHED_KINDS.some((kind) => name.startsWith(`${kind}-`));
    for (const name of await this.#folder.list()) if (isSpool(name)) bytes += (await this.#folder.sizeBytes(name)) ?? 0;
    const parts = (await this.#folder.list(PARTS_FOLDER)).map((name) => `${PARTS_FOLDER}/${name}`);
    for (const kept of [...KEPT_FOLDERS, ...parts]) {
      const folder = this.#folder.folder(kept);
      for (const name of await folder.list()) bytes += (await folder.sizeBytes(name)) ?? 0;
    }
    return bytes;
  }
}

/** What an earlier process left is part of the share, or the share would shrink with each start. */
async function shareBytes(folder: Folder, usedBytes: number): Promise<number | undefined> {
  const space = await folder.space?.();
  return space && Math.floor(((space.freeBytes + usedBytes) * BUDGETS.diskShare.limit) / 100);
}
