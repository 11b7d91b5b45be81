// The suite that every implementation of `Folder` passes.
import { describe, expect, test } from 'vitest';
import type { Folder } from '../../src/core/storage.js';
import { readText, writeText } from '../../src/core/storage-text.js';

const HOSTILE_NAMES = [
  '',
  '/etc/passwd',
  '..',
  '../x',
  'a/../../x',
  'a//b',
  './a',
  'a/',
  'a\\b',
  'a\u0000b',
  'C:x',
  'a\nb',
  'x'.repeat(2000),
];

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

async function contents(folder: Folder, name: string): Promise<number[]> {
  const file = await folder.open(name);
  const into = new Uint8Array(file.sizeBytes);
  await file.read(into, 0);
  await file.close();
  return [...into];
}

async function put(folder: Folder, name: string, ...values: number[]): Promise<void> {
  const file = await folder.create(name);
  await file.write(bytes(...values), 0);
  await file.sync();
  await file.close();
}

/** Runs the suite on folders that `make` gives, each new and empty. */
export function testFolder(name: string, make: () => Folder): void {
  describe(`Folder: ${name}`, () => {
    test('gives back what was written, at any position', async () => {
      const folder = make();
      const file = await folder.create('a/b/c.bin');
      const source = bytes(1, 2, 3, 4);
      await file.write(source, 0);
      source.fill(99);
      await file.write(bytes(8, 9), 6);
      await file.write(bytes(7), 1);
      await file.sync();
      await file.close();
      expect(await contents(folder, 'a/b/c.bin')).toEqual([1, 7, 3, 4, 0, 0, 8, 9]);
      expect(await folder.sizeBytes('a/b/c.bin')).toBe(8);
      const reader = await folder.open('a/b/c.bin');
      const into = bytes(0, 0);
      await reader.read(into, 2);
      expect([...into]).toEqual([3, 4]);
      await reader.close();
    });

    test('refuses to read beyond the end or before the beginning', async () => {
      const folder = make();
      await put(folder, 'x', 1, 2, 3);
      const file = await folder.open('x');
      const read = async (count: number, position: number) => file.read(new Uint8Array(count), position);
      await expect(read(2, 2)).rejects.toMatchObject({ code: 'io', message: expect.stringContaining('x ends at 3') });
      await expect(read(1, -1)).rejects.toMatchObject({ code: 'io' });
      await expect(read(0, 3)).resolves.toBeUndefined();
      await file.close();
    });

    test('moves 3 MiB through one call', async () => {
      const folder = make();
      const large = new Uint8Array(3 * 2 ** 20).map((_, index) => index % 251);
      const file = await folder.create('large');
      await file.write(large, 0);
      await file.close();
      const reader = await folder.open('large');
      const back = new Uint8Array(large.length);
      await reader.read(back, 0);
      await reader.close();
      expect(Buffer.compare(back, large)).toBe(0);
    });

    test('create empties an old file, or keeps it when asked', async () => {
      const folder = make();
      await put(folder, 'x', 1, 2, 3);
      const kept = await folder.create('x', { keep: true });
      await kept.write(bytes(9), 3);
      await kept.close();
      expect(await contents(folder, 'x')).toEqual([1, 2, 3, 9]);
      await (await folder.create('x')).close();
      expect(await contents(folder, 'x')).toEqual([]);
      await (await folder.create('new', { keep: true })).close();
      expect(await folder.sizeBytes('new')).toBe(0);
    });

    test('rename replaces the target whole, and makes the folders above it', async () => {
      const folder = make();
      await put(folder, 'from', 1);
      await put(folder, 'to', 2, 2);
      await folder.rename('from', 'to');
      expect(await contents(folder, 'to')).toEqual([1]);
      expect(await folder.sizeBytes('from')).toBeUndefined();
      await folder.rename('to', 'deep/er/to');
      expect(await folder.list()).toEqual(['deep']);
      await expect(folder.rename('missing', 'x')).rejects.toMatchObject({ code: 'not-found', message: expect.stringContaining('missing') });
    });

    test('remove takes a folder with all in it, and does not mind a missing one', async () => {
      const folder = make();
      await put(folder, 'a/x', 1);
      await put(folder, 'a/b/y', 1);
      await put(folder, 'ab', 1);
      await folder.remove('a');
      expect(await folder.list()).toEqual(['ab']);
      await folder.remove('ab');
      await folder.remove('ab');
      expect(await folder.list()).toEqual([]);
    });

    test('lists names in order, one level deep', async () => {
      const folder = make();
      for (const file of ['b', 'a10', 'a2', 'c/d/e', 'c/f', 'B']) await put(folder, file, 0);
      expect(await folder.list()).toEqual(['B', 'a10', 'a2', 'b', 'c']);
      expect(await folder.list('c')).toEqual(['d', 'f']);
      expect(await folder.list('missing')).toEqual([]);
      expect(await folder.list('b')).toEqual([]);
      expect(await make().list()).toEqual([]);
    });

    test('says what is missing, by its name', async () => {
      const folder = make();
      await put(folder, 'dir/file', 0);
      await expect(folder.open('none')).rejects.toMatchObject({ code: 'not-found', message: expect.stringContaining('/none') });
      await expect(folder.open('no/such')).rejects.toMatchObject({ code: 'not-found', message: expect.stringContaining('no/such') });
      await expect(folder.open('dir/file/x')).rejects.toMatchObject({ code: 'not-found' });
      expect(await folder.sizeBytes('none')).toBeUndefined();
      expect(await folder.sizeBytes('dir')).toBeUndefined();
    });

    test('a folder below sees its own names only', async () => {
      const folder = make();
      const below = folder.folder('sites').folder('one');
      await put(below, 'x', 5);
      expect(await contents(folder, 'sites/one/x')).toEqual([5]);
      expect(await below.list()).toEqual(['x']);
      await expect(below.open('../../x')).rejects.toMatchObject({ code: 'bad-argument' });
      expect(below.label).toBe(`${folder.label}/sites/one`);
    });

    test.each(HOSTILE_NAMES)('refuses the name %j everywhere', async (hostile) => {
      const folder = make();
      await put(folder, 'x', 1);
      const refused = { code: 'bad-argument' };
      await expect(folder.open(hostile)).rejects.toMatchObject(refused);
      await expect(folder.create(hostile)).rejects.toMatchObject(refused);
      await expect(folder.rename('x', hostile)).rejects.toMatchObject(refused);
      await expect(folder.rename(hostile, 'y')).rejects.toMatchObject(refused);
      await expect(folder.remove(hostile)).rejects.toMatchObject(refused);
      await expect(folder.sizeBytes(hostile)).rejects.toMatchObject(refused);
      await expect(folder.list(hostile)).rejects.toMatchObject(refused);
      expect(() => folder.folder(hostile)).toThrow(expect.objectContaining(refused));
      expect(await folder.list()).toEqual(['x']);
    });

    test('close may be called twice', async () => {
      const folder = make();
      const file = await folder.create('x');
      await file.close();
      await file.close();
      const reader = await folder.open('x');
      await reader.close();
      await reader.close();
    });

    test('small texts are written whole', async () => {
      const folder = make();
      await writeText(folder, 'state/job.json', '{"name": "ä"}');
      await writeText(folder, 'state/job.json', '{}');
      expect(await readText(folder, 'state/job.json')).toBe('{}');
      expect(await folder.list('state')).toEqual(['job.json']);
    });
  });
}
