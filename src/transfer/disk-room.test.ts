// Room on a disk is promised before it is used, once, and some of it stays free.
import { expect, test } from 'vitest';
import { memoryFolder } from '../core/memory-folder.js';
import type { Folder, Space } from '../core/storage.js';
import { DiskRoom } from './disk-room.js';

function diskOf(space: Space): Folder {
  return Object.assign(memoryFolder(), { space: async () => space });
}

test('two objects do not get the same room, and what is released can be had again', async () => {
  const room = new DiskRoom({ folder: memoryFolder(), limitBytes: 100, limitedBy: 'the owner' });
  const first = await room.take(60, 'a');
  await expect(room.take(50, 'b')).rejects.toMatchObject({
    code: 'limit',
    message: 'b needs 50 bytes, and 0 bytes are used: the owner allows 100 bytes',
  });
  first.wrote(30);
  await (await room.take(60, 'c')).release();
  first.release();
  await room.take(100, 'd');
});

test('what is there already counts', async () => {
  const room = new DiskRoom({ folder: memoryFolder(), limitBytes: 100, used: async () => 70 });
  await room.take(30, 'a');
  await expect(room.take(1, 'b')).rejects.toMatchObject({ code: 'limit' });
});

test('a twentieth of a small disk stays free, and a GiB of a large one', async () => {
  const small = new DiskRoom({ folder: diskOf({ totalBytes: 2e9, freeBytes: 1e9 }) });
  await small.take(9e8, 'a');
  await expect(small.take(1, 'b')).rejects.toMatchObject({
    code: 'io',
    message: expect.stringMatching(/1\.00 GB free, of which 100 MB stay free/),
  });
  const large = new DiskRoom({ folder: diskOf({ totalBytes: 1e15, freeBytes: 2e9 }) });
  await expect(large.take(1e9, 'c')).rejects.toMatchObject({ code: 'io' });
  await large.take(9e8, 'd');
});
