import { expect, test } from 'vitest';
import { memoryFolder } from '../core/memory-folder.js';
import type { Folder, WritableFile } from '../core/storage.js';
import { readText, writeText } from '../core/storage-text.js';
import { appendLines } from './line-appender.js';

test('appends in order behind what is there', async () => {
  const folder = memoryFolder();
  await writeText(folder, 'x', 'one\n');
  const appender = await appendLines(folder, 'x');
  appender.add('two');
  appender.add('three');
  await appender.flush();
  expect(await readText(folder, 'x')).toBe('one\ntwo\nthree\n');
  appender.add('four');
  await appender.close();
  appender.add('too late');
  await appender.close();
  expect(await readText(folder, 'x')).toBe('one\ntwo\nthree\nfour\n');
});

test('a disk that takes no more is told by flush, and adding goes on without throwing', async () => {
  const full = new Error('disk full');
  const file: WritableFile = {
    write: () => Promise.reject(full),
    sync: () => {},
    close: () => {},
  };
  const folder = { ...memoryFolder(), create: async () => file, sizeBytes: async () => 0 } as unknown as Folder;
  const appender = await appendLines(folder, 'x');
  appender.add('one');
  await expect(appender.flush()).rejects.toMatchObject({ code: 'io', message: 'disk full' });
  appender.add('two');
  await expect(appender.close()).rejects.toMatchObject({ code: 'io' });
});

test('a disk that answers nothing is given up before the lines fill the memory', async () => {
  const file: WritableFile = { write: () => new Promise(() => {}), sync: () => {}, close: () => {} };
  const folder = { ...memoryFolder(), label: 'run', create: async () => file, sizeBytes: async () => 0 } as unknown as Folder;
  const appender = await appendLines(folder, 'x');
  const line = 'x'.repeat(2 ** 20);
  appender.add(line);
  await new Promise((resolve) => setTimeout(resolve));
  for (let count = 0; count < 31; count++) appender.add(line);
  expect(appender.failure).toBeUndefined();
  for (let count = 0; count < 2; count++) appender.add(line);
  expect(appender.failure).toMatchObject({ code: 'io', message: expect.stringMatching(/^run\/x: 33554432 characters wait/) });
});
