// A folder on disk, over node:fs.
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { FedStreamError } from '../../core/errors.js';
import type { CreateOptions, Folder, ReadableFile, Space, WritableFile } from '../../core/storage.js';
import { checkName } from '../../core/storage-name.js';
import { ioError } from './io-error.js';
import { NodeFile } from './node-file.js';
import { makePrivateFolder, PRIVATE_FILE } from './private-modes.js';
import { syncDirectory } from './sync-directory.js';
import { whenDescriptors } from './when-descriptors.js';

/** Windows has neither flag; it does not let ordinary users make symbolic links either. */
const NO_FOLLOW = constants.O_NOFOLLOW ?? 0;
/** Without it, opening a named pipe would wait for its other end forever. */
const NO_WAIT = constants.O_NONBLOCK ?? 0;

/** Why a file has one name only: another disk, a file system or a user who may not, too many names. */
const UNLINKED: ReadonlySet<string | undefined> = new Set(['EXDEV', 'EPERM', 'EACCES', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/** Options of `nodeFolder`. */
export interface NodeFolderOptions {
  /**
   * True to follow symbolic links below the folder; false by default. Never set it for names that
   * come from a peer. Folders that the user names for reading need it, since the Hugging Face cache
   * consists of links.
   */
  readonly followLinks?: boolean;
  /**
   * True for new files and folders with the modes that the user's umask gives, for a model that is
   * made to be handed on; by default only the owner may read them.
   */
  readonly shared?: boolean;
}

/** The modes of files below any other user's reach. */
const OTHERS = 0o077;

/**
 * Opens the folder at `path`, which need not exist yet. The path itself comes from the user and may
 * be a link (`runs/latest`).
 */
export function nodeFolder(path: string, options: NodeFolderOptions = {}): Folder {
  return new NodeFolder(resolve(path), '', path, options);
}

class NodeFolder implements Folder {
  readonly label: string;
  readonly #root: string;
  readonly #prefix: string;
  readonly #options: NodeFolderOptions;
  readonly #followLinks: boolean;

  constructor(root: string, prefix: string, label: string, options: NodeFolderOptions) {
    this.#root = root;
    this.#prefix = prefix;
    this.label = label;
    this.#options = options;
    this.#followLinks = options.followLinks ?? false;
  }

  async open(name: string): Promise<ReadableFile> {
    const path = this.#path(name);
    const follow = this.#followLinks ? 0 : NO_FOLLOW;
    return this.#attempt('open', name, () => new NodeFile(openPlainFile(path, constants.O_RDONLY | NO_WAIT | follow), path));
  }

  async create(name: string, { keep = false, renamed = false }: CreateOptions = {}): Promise<WritableFile> {
    const path = this.#path(name);
    const empty = keep ? 0 : constants.O_TRUNC;
    const follow = this.#followLinks ? 0 : NO_FOLLOW;
    return this.#attempt('write', name, () => {
      const [parent, ...above] = this.#makeParents(path);
      const descriptor = openPlainFile(path, constants.O_RDWR | constants.O_CREAT | NO_WAIT | empty | follow, !this.#options.shared);
      return new NodeFile(descriptor, path, renamed ? above : [parent, ...above]);
    });
  }

  async rename(from: string, to: string, { durable = true }: { readonly durable?: boolean | undefined } = {}): Promise<void> {
    const source = this.#path(from);
    const target = this.#path(to);
    const folders = await this.#attempt('rename', from, () => {
      lstatSync(source);
      const changed = new Set([...this.#makeParents(target), dirname(source)]);
      renameSync(source, target);
      return changed;
    });
    if (durable) for (const folder of folders) await whenDescriptors(() => syncDirectory(folder));
  }

  async remove(name: string): Promise<void> {
    const path = this.#path(name);
    await this.#attempt('remove', name, () => rmSync(path, { recursive: true, force: true }));
  }

  async sizeBytes(name: string): Promise<number | undefined> {
    const path = this.#path(name);
    const status = await this.#attempt('read', name, () => ignoreMissing(() => (this.#followLinks ? statSync(path) : lstatSync(path))));
    return status?.isFile() ? status.size : undefined;
  }

  async list(name?: string): Promise<string[]> {
    const path = name === undefined ? join(this.#root, this.#prefix) : this.#path(name);
    return this.#attempt('list', name ?? '', () => ignoreMissing(() => readdirSync(path).sort()) ?? []);
  }

  async link(name: string, to: Folder, as: string): Promise<boolean> {
    if (!(to instanceof NodeFolder)) return false;
    const source = this.#path(name);
    const target = to.#path(as);
    return this.#attempt('link', name, () => {
      if (!lstatSync(source).isFile()) return false;
      to.#makeParents(target);
      rmSync(target, { force: true });
      try {
        linkSync(source, target);
        return true;
      } catch (cause) {
        if (UNLINKED.has((cause as NodeJS.ErrnoException).code)) return false;
        throw cause;
      }
    });
  }

  async stamp(name: string): Promise<string | undefined> {
    const path = this.#path(name);
    const status = await this.#attempt('read', name, () => ignoreMissing(() => lstatSync(path, { bigint: true })));
    return status?.isFile() ? `${status.ino}:${status.size}:${status.mtimeNs}` : undefined;
  }

  folder(name: string): Folder {
    return new NodeFolder(this.#root, `${this.#prefix}${checkName(name)}/`, `${this.label}/${name}`, this.#options);
  }

  /** Undefined where the system does not tell. A folder that is not there yet is on its parent's disk. */
  async space(): Promise<Space | undefined> {
    for (let path = join(this.#root, this.#prefix); ; path = dirname(path)) {
      try {
        const { bsize, blocks, bavail } = statfsSync(path);
        return { totalBytes: bsize * blocks, freeBytes: bsize * bavail };
      } catch {
        if (path === dirname(path)) return undefined;
      }
    }
  }

  /** The path of a checked name; a link on the way to its last segment is refused. */
  #path(name: string): string {
    const inside = this.#prefix + checkName(name);
    if (!this.#followLinks) this.#refuseLinksAbove(inside);
    return join(this.#root, inside);
  }

  #refuseLinksAbove(inside: string): void {
    let path = this.#root;
    for (const segment of inside.split('/').slice(0, -1)) {
      path = join(path, segment);
      const status = this.#told('open', inside, () => ignoreMissing(() => lstatSync(path)));
      if (!status) return;
      if (status.isSymbolicLink()) {
        throw new FedStreamError('io', `${path} is a symbolic link, which is not followed here; put the folder itself in its place`);
      }
    }
  }

  /** Makes the folders above `path`; returns those with a new entry, which must be synced. */
  #makeParents(path: string): [string, ...string[]] {
    const parent = dirname(path);
    const first = this.#options.shared ? mkdirSync(parent, { recursive: true }) : makePrivateFolder(parent);
    const changed: [string, ...string[]] = [parent];
    if (first === undefined) return changed;
    for (let folder = parent; folder.length >= first.length; folder = dirname(folder)) changed.push(dirname(folder));
    return changed;
  }

  #attempt<T>(doing: string, name: string, action: () => T): Promise<T> {
    return whenDescriptors(() => this.#told(doing, name, action));
  }

  #told<T>(doing: string, name: string, action: () => T): T {
    try {
      return action();
    } catch (cause) {
      throw ioError(cause, doing, name ? `${this.label}/${name}` : this.label);
    }
  }
}

/**
 * Opens a regular file; devices, pipes and folders are refused. With `hide`, nobody but the owner
 * may read it from then on, even if an older version had let others.
 */
function openPlainFile(path: string, flags: number, hide = false): number {
  const descriptor = openSync(path, flags, hide ? PRIVATE_FILE : undefined);
  const status = fstatSync(descriptor);
  if (status.isFile()) {
    if (hide && (status.mode & OTHERS) !== 0) fchmodSync(descriptor, status.mode & ~OTHERS);
    return descriptor;
  }
  closeSync(descriptor);
  throw new FedStreamError('io', `${path} is ${status.isDirectory() ? 'a folder' : 'a device or a pipe'}, and a plain file is needed`);
}

function ignoreMissing<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw cause;
  }
}
