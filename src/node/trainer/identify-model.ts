// Identifies a model folder of this machine by a digest that says nothing of where it lies.
import { createHash } from 'node:crypto';
import { open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Bounds on what is read of a folder: configurations and headers, never weights. */
const MAX_FILES = 1_000;
const MAX_TEXT_BYTES = 1024 * 1024;
const MAX_HEADER_BYTES = 64 * 1024 * 1024;

/**
 * `sha256-…` over `config.json`, and over the names, headers and sizes of the folder's safetensors
 * files: the same on every machine that has the same model, found without reading its weights.
 * Undefined where the path is no folder with a configuration.
 */
export async function identifyModel(path: string): Promise<string | undefined> {
  try {
    const config = join(path, 'config.json');
    if ((await stat(config)).size > MAX_TEXT_BYTES) return undefined;
    const hash = createHash('sha256').update(await readFile(config));
    const names = (await readdir(path)).filter((name) => name.endsWith('.safetensors')).sort();
    for (const name of names.slice(0, MAX_FILES)) hash.update(`\n${name}\n`).update(await headerOf(join(path, name)));
    return `sha256-${hash.digest('hex')}`;
  } catch {
    return undefined; // not here, or not readable: the name alone leaves
  }
}

/** The header of a safetensors file, with the file's size behind it. */
async function headerOf(path: string): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const length = Buffer.alloc(8);
    await file.read(length, 0, 8, 0);
    const header = Buffer.alloc(Math.min(Number(length.readBigUInt64LE()), MAX_HEADER_BYTES, size));
    await file.read(header, 0, header.length, 8);
    return Buffer.concat([header, Buffer.from(` ${size}`)]);
  } finally {
    await file.close();
  }
}
