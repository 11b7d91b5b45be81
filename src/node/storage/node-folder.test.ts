// A folder on disk refuses links, devices and closed files.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { memoryFolder } from '../../core/memory-folder.js';
import { nodeFolder } from './node-folder.js';

let path = '';
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'fedstream-'));
  mkdirSync(join(path, 'run'));
  writeFileSync(join(path, 'secret'), 'secret');
});
afterEach(() => rmSync(path, { recursive: true, force: true }));

test('a link in the place of a file is neither read nor written through', async () => {
  symlinkSync('../secret', join(path, 'run/link'));
  const folder = nodeFolder(join(path, 'run'));
  const refused = { code: 'io', message: expect.stringContaining('symbolic link') };
  await expect(folder.open('link')).rejects.toMatchObject(refused);
  await expect(folder.create('link')).rejects.toMatchObject(refused);
  await expect(folder.create('link', { keep: true })).rejects.toMatchObject(refused);
  expect(await folder.sizeBytes('link')).toBeUndefined();
  await folder.remove('link');
  expect(readFileSync(join(path, 'secret'), 'utf8')).toBe('secret');
});

test('a link on the way to a file is not followed, from a folder below either', async () => {
  symlinkSync('..', join(path, 'run/up'));
  const folder = nodeFolder(join(path, 'run'));
  const refused = { code: 'io', message: expect.stringContaining('symbolic link') };
  await expect(folder.open('up/secret')).rejects.toMatchObject(refused);
  await expect(folder.create('up/new/file')).rejects.toMatchObject(refused);
  await expect(folder.remove('up/secret')).rejects.toMatchObject(refused);
  await expect(folder.list('up/run')).rejects.toMatchObject(refused);
  await expect(folder.folder('up').open('secret')).rejects.toMatchObject(refused);
  await folder.remove('up');
  expect(readFileSync(join(path, 'secret'), 'utf8')).toBe('secret');
});

test('a second name is given to files only, and in folders on disk', async () => {
  const folder = nodeFolder(join(path, 'run'));
  const other = nodeFolder(join(path, 'other'));
  writeFileSync(join(path, 'run/file'), 'bytes');
  expect(await folder.link?.('file', other, 'deep/file')).toBe(true);
  expect(statSync(join(path, 'other/deep/file')).ino).toBe(statSync(join(path, 'run/file')).ino);
  expect(await folder.link?.('file', memoryFolder(), 'file')).toBe(false);
  symlinkSync('../secret', join(path, 'run/link'));
  expect(await folder.link?.('link', other, 'link')).toBe(false);
  expect(await other.list()).toEqual(['deep']);
  symlinkSync(path, join(path, 'other/up'));
  await expect(folder.link?.('file', other, 'up/secret')).rejects.toMatchObject({ message: expect.stringContaining('symbolic link') });
  await expect(folder.link?.('file', other, 'deep')).rejects.toMatchObject({ code: 'io' });
  expect(readFileSync(join(path, 'secret'), 'utf8')).toBe('secret');
});

test('links are followed in a folder that asks for it, and the folder itself may be one', async () => {
  symlinkSync('../secret', join(path, 'run/link'));
  symlinkSync('run', join(path, 'latest'));
  expect(await nodeFolder(join(path, 'run'), { followLinks: true }).sizeBytes('link')).toBe(6);
  writeFileSync(join(path, 'run/plain'), 'abc');
  expect(await nodeFolder(join(path, 'latest')).sizeBytes('plain')).toBe(3);
});

test('a folder is not a file', async () => {
  const folder = nodeFolder(path);
  await expect(folder.open('run')).rejects.toMatchObject({ code: 'io', message: expect.stringContaining('a folder') });
  await expect(folder.create('run')).rejects.toMatchObject({ code: 'io', message: expect.stringContaining('run') });
});

test.runIf(process.platform === 'linux')('a device is not a file', async () => {
  const folder = nodeFolder('/dev', { followLinks: true });
  await expect(folder.open('null')).rejects.toMatchObject({ code: 'io', message: expect.stringContaining('/dev/null is a device') });
  await expect(folder.create('null', { keep: true })).rejects.toMatchObject({ code: 'io' });
});

test('a file used after it was closed is a bug, not another file', async () => {
  const folder = nodeFolder(path);
  const file = await folder.create('x');
  await file.close();
  expect(() => file.write(new Uint8Array(1), 0)).toThrow(expect.objectContaining({ code: 'internal' }));
});
