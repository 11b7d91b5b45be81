// The room that a folder has for objects: what they may have together, and what the disk has left.
import { BUDGETS } from '../core/budgets.js';
import { FedStreamError } from '../core/errors.js';
import type { Folder, Space } from '../core/storage.js';

/** Options of `DiskRoom`. */
export interface DiskRoomOptions {
  /** The folder; where it does not know its disk, only `limitBytes` counts. */
  readonly folder: Folder;
  /** The most bytes that all objects have together; without it, only the disk's space counts. */
  readonly limitBytes?: number | undefined;
  /** The setting that says so, for messages. */
  readonly limitedBy?: string;
  /** The path of the folder, for the message of a disk without room: only where the sender is not told it. */
  readonly where?: string | undefined;
  /** Bytes that count against the limit already. */
  used?(): Promise<number>;
}

/** Bytes that were promised to an object and are not written yet. */
export interface Promised {
  wrote(bytes: number): void;
  release(): void;
}

/** Promises room to objects before they are written, so that several at once do not get the same. */
export class DiskRoom {
  readonly #options: DiskRoomOptions;
  #promised = 0;

  constructor(options: DiskRoomOptions) {
    this.#options = options;
  }

  /**
   * Promises room for an object. Throws `limit` beyond the limit, `io` where the disk would have
   * too little left; `what` names the object in the message, which the sender is told: it has no path.
   */
  async take(bytes: number, what: string): Promise<Promised> {
    // Promised before anything is awaited, so that two who ask at once do not get the same room.
    this.#promised += bytes;
    let left = bytes;
    const wrote = (some: number): void => {
      const taken = Math.min(some, left);
      left -= taken;
      this.#promised -= taken;
    };
    const release = (): void => wrote(left);
    try {
      await this.#checkLimit(what, bytes);
      await this.#checkDisk(what, bytes);
    } catch (error) {
      release();
      throw error;
    }
    return { wrote, release };
  }

  async #checkLimit(what: string, bytes: number): Promise<void> {
    const { limitBytes, limitedBy = 'its limit', used } = this.#options;
    if (limitBytes === undefined) return;
    const usedBytes = (await used?.()) ?? 0;
    if (usedBytes + this.#promised <= limitBytes) return;
    throw new FedStreamError(
      'limit',
      `${what} needs ${inBytes(bytes)}, and ${inBytes(usedBytes)} are used: ${limitedBy} allows ${inBytes(limitBytes)}`,
    );
  }

  async #checkDisk(what: string, bytes: number): Promise<void> {
    const { folder, where } = this.#options;
    const space = await folder.space?.();
    if (!space || this.#promised + reserveOf(space) <= space.freeBytes) return;
    throw new FedStreamError(
      'io',
      `${where === undefined ? '' : `no room in ${where}: `}${what} needs ${inBytes(bytes)} on a disk that has ${inBytes(space.freeBytes)} free, of which ${inBytes(reserveOf(space))} stay free: free some space`,
      { cause: Object.assign(new Error('the disk has no room'), { code: 'ENOSPC' }) },
    );
  }
}

/** Bytes of a disk that objects leave free. */
export function reserveOf({ totalBytes }: Space): number {
  return Math.min(BUDGETS.diskReserveBytes.limit, Math.floor(totalBytes / 20));
}

/** A number of bytes for people: `1.29 GB`. */
export function inBytes(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit]}`;
}
