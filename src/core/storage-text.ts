// Small text files, read whole with a limit, and replaced atomically.
import { FedStreamError } from './errors.js';
import type { Folder } from './storage.js';

/** The most bytes of a text file: config.json and tokenizer.json stay far below it. */
const TEXT_LIMIT_BYTES = 64 * 1024 * 1024;

/**
 * The text of a file, or undefined if there is no such file; `limit` if it is larger than
 * `limitBytes`.
 */
export async function readText(folder: Folder, name: string, limitBytes = TEXT_LIMIT_BYTES): Promise<string | undefined> {
  const size = await folder.sizeBytes(name);
  if (size === undefined) return undefined;
  if (size > limitBytes) throw new FedStreamError('limit', `${folder.label}/${name} has ${size} bytes; at most ${limitBytes} are read`);
  const file = await folder.open(name);
  try {
    const bytes = new Uint8Array(size);
    await file.read(bytes, 0);
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } finally {
    await file.close();
  }
}

/**
 * Writes the text beside the file, makes it durable and renames it: a crash leaves the old text or
 * the new one. With `durable: false` that is so for a crash of the process, not of the machine.
 */
export async function writeText(folder: Folder, name: string, text: string, { durable = true } = {}): Promise<void> {
  const beside = `${name}.part`;
  const file = await folder.create(beside, { renamed: true });
  try {
    await file.write(new TextEncoder().encode(text), 0);
    if (durable) await file.sync();
  } finally {
    await file.close();
  }
  await folder.rename(beside, name, { durable });
}
