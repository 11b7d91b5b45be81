// The contract of storage: named byte files in a folder.

/** A file to read from, at any position. */
export interface ReadableFile {
  readonly sizeBytes: number;
  /** Fills `into` with the bytes from `position` on; throws `io` if the file ends early. */
  read(into: Uint8Array, position: number): void | Promise<void>;
  close(): void | Promise<void>;
}

/** A file to write to, at any position. */
export interface WritableFile {
  /** Writes all of `bytes`; they may be reused once the call has ended. */
  write(bytes: Uint8Array, position: number): void | Promise<void>;
  /** Returns once what was written survives a crash of the machine. */
  sync(): void | Promise<void>;
  close(): void | Promise<void>;
}

/** The size of a disk, and the part of it that this process may still fill. */
export interface Space {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

/** Options of `Folder.create`. */
export interface CreateOptions {
  /** Keeps what an old file of that name has. */
  readonly keep?: boolean | undefined;
  /** For a file that is renamed before anybody looks for it: `sync` leaves its name to `rename`. */
  readonly renamed?: boolean | undefined;
}

/**
 * A folder of files, so that everything below `node` can spool, journal and resume without knowing
 * the disk. Names are relative paths of plain segments (`round-1/site-a.spool`); anything else
 * (absolute, `..`, empty segments, NUL, backslash) is refused with `bad-argument`, so that a name
 * from a peer cannot leave the folder.
 */
export interface Folder {
  /** A name for messages to a person. */
  readonly label: string;
  open(name: string): Promise<ReadableFile>;
  /** Creates the file and the folders above it; an old file of that name is emptied unless `keep` is set. */
  create(name: string, options?: CreateOptions): Promise<WritableFile>;
  /**
   * Atomic: after a crash the new name holds the old file or the new one, whole. With `durable:
   * false` that is so for a crash of the process; one of the machine may leave either name, or none.
   */
  rename(from: string, to: string, options?: { readonly durable?: boolean | undefined }): Promise<void>;
  /** Removes a file, or a folder with everything in it; a missing one is no error. */
  remove(name: string): Promise<void>;
  /** Size in bytes, or undefined if there is no such file. */
  sizeBytes(name: string): Promise<number | undefined>;
  /**
   * The names of the files and folders directly in `name` (the folder itself by default), sorted;
   * empty if there is none.
   */
  list(name?: string): Promise<string[]>;
  /** The folder of that name inside this one; it is created with its first file. */
  folder(name: string): Folder;
  /**
   * Gives a file a second name in another folder, without a copy; an old file of that name is
   * replaced. False where that cannot be: on another disk, or in another kind of folder. Missing where
   * no file can have two names.
   */
  link?(name: string, to: Folder, as: string): Promise<boolean>;
  /**
   * A text that is another one once somebody has written to the file, under whichever of its names;
   * undefined if there is no such file. Missing where nobody else can write.
   */
  stamp?(name: string): Promise<string | undefined>;
  /** The space of the disk below the folder; missing, or undefined, where nobody knows. */
  space?(): Promise<Space | undefined>;
}
