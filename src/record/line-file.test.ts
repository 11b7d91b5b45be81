import { expect, test } from 'vitest';
import { memoryFolder } from '../core/memory-folder.js';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { filterLines, readLines } from './line-file.js';

async function lines(folder: Folder, name: string): Promise<string[]> {
  const found: string[] = [];
  for await (const line of readLines(folder, name)) found.push(line);
  return found;
}

test('reads lines across the edges of its reads, also where they cut a character', async () => {
  const folder = memoryFolder();
  const wanted = Array.from({ length: 5000 }, (_, index) => `${index} ${'ä€😀'.repeat(index % 13)}`);
  await writeText(folder, 'x', wanted.map((line) => `${line}\n`).join(''));
  expect(await lines(folder, 'x')).toEqual(wanted);
  expect(await lines(folder, 'missing')).toEqual([]);
});

test('a last line without its newline does not count', async () => {
  const folder = memoryFolder();
  await writeText(folder, 'x', 'one\ntwo\nthr');
  expect(await lines(folder, 'x')).toEqual(['one', 'two']);
});

test('a file that is one endless line is refused', async () => {
  const folder = memoryFolder();
  await writeText(folder, 'x', 'x'.repeat(2 * 1024 * 1024));
  await expect(lines(folder, 'x')).rejects.toMatchObject({ code: 'limit' });
});

test('drops the lines that are not wanted, and the one that was cut short', async () => {
  const folder = memoryFolder();
  const all = Array.from({ length: 3000 }, (_, index) => String(index));
  await writeText(folder, 'x', `${all.join('\n')}\n30`);
  await filterLines(folder, 'x', (line) => Number(line) % 3 === 0);
  expect(await lines(folder, 'x')).toEqual(all.filter((line) => Number(line) % 3 === 0));
  expect(await folder.list()).toEqual(['x']);
  await filterLines(folder, 'missing', () => true);
  expect(await folder.list()).toEqual(['x']);
});
