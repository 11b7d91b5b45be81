// The file descriptors of this process: how many it may have, and how many it can still open.
import { readdirSync, readFileSync } from 'node:fs';
import { BUDGETS } from '../../core/budgets.js';

/** The limit of most systems for a process that asks for none. */
const USUAL_LIMIT = 1024;
/** A count is used for so long, or for so many accepted connections. */
const COUNT_MS = 200;
const COUNT_ACCEPTS = 32;
/** Folders with an entry for each open descriptor: Linux, and the BSDs with macOS. */
const FOLDERS = ['/proc/self/fd', '/dev/fd'];

/** The most descriptors that this process may have: 1,024 where the system does not say. */
export function descriptorLimit(): number {
  try {
    const [, soft] = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'latin1')) ?? [];
    if (soft !== undefined) return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    // not Linux
  }
  try {
    const report = process.report?.getReport() as unknown as { userLimits?: { open_files?: { soft?: number | string } } };
    const soft = report?.userLimits?.open_files?.soft;
    if (soft === 'unlimited') return Number.POSITIVE_INFINITY;
    if (typeof soft === 'number' && soft > 0) return soft;
  } catch {
    // no report here
  }
  return USUAL_LIMIT;
}

/** The descriptors that are open; undefined where the system does not show them. */
function openDescriptors(): number | undefined {
  for (const folder of FOLDERS) {
    try {
      return readdirSync(folder).length;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EMFILE' || code === 'ENFILE') return Number.POSITIVE_INFINITY;
    }
  }
  return undefined;
}

/** The descriptors that connections may take, so that some stay free for files. */
export class Descriptors {
  readonly #limit: number;
  readonly #reserved: number;
  #open = 0;
  #accepted = 0;
  #countedMs = Number.NEGATIVE_INFINITY;

  constructor(limit = descriptorLimit(), reserved = Math.max(BUDGETS.reservedDescriptors.limit, limit / 4)) {
    this.#limit = limit;
    this.#reserved = reserved;
  }

  /** How many more connections fit; at most 0 where files would come short. */
  spare(): number {
    if (this.#limit === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY;
    if (performance.now() - this.#countedMs > COUNT_MS || this.#accepted > COUNT_ACCEPTS || this.#left() <= 0) this.#count();
    return this.#left();
  }

  /** A connection was accepted. */
  accepted(): void {
    this.#accepted++;
  }

  #left(): number {
    return Math.floor(this.#limit - this.#reserved - this.#open - this.#accepted);
  }

  #count(): void {
    // Nothing is known where the system shows no descriptors: then only the limits of the gate hold.
    this.#open = openDescriptors() ?? Number.NEGATIVE_INFINITY;
    this.#countedMs = performance.now();
    this.#accepted = 0;
  }
}
