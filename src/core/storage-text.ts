// Small whole files: text and JSON, read with a limit, written beside and renamed.
import { FedStreamError } from './errors.js';
import type { Folder } from './storage.js';

/** A text file larger than this is not one of ours: config.json and tokenizer.json stay far below it. */
const TEXT_LIMIT_BYTES = 64 * 1024 * 1024;

/** The text of a file, or undefined where there is no such file. */
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

/** Writes the text beside the file, makes it durable and renames it: a crash leaves the old text or the new one. */
export async function writeText(folder: Folder, name: string, text: string): Promise<void> {
  const beside = `${name}.part`;
  const file = await folder.create(beside);
  try {
    await file.write(new TextEncoder().encode(text), 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await folder.rename(beside, name);
}
