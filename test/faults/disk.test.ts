// Disks that are full or not writable: one clear error on both sides; the verified leaves are kept,
// and the transfer goes on once there is room.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import type { FedStreamError } from '../../src/core/errors.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import { memory } from '../../src/driver/memory.js';
import { nodeFolder } from '../../src/node/storage/node-folder.js';
import { receiveModel } from '../../src/transfer/receive.js';
import { prepareModel, sendPrepared } from '../../src/transfer/send.js';
import { link } from '../wire/linked.js';
import { chunksOf, ENCODINGS, someModel } from '../wire/models.js';

const codecs = referenceCodecs;
const path = mkdtempSync(join(tmpdir(), 'fedstream-disk-'));

function mount(...args: string[]): boolean {
  return spawnSync('mount', [...args, path]).status === 0;
}

/** A small disk of its own; only root can mount one. */
const small = mount('-t', 'tmpfs', '-o', 'size=4m', 'none');
afterAll(() => {
  if (small) spawnSync('umount', [path]);
  rmSync(path, { recursive: true, force: true });
});

/**
 * Tries once to receive the model to the disk; returns the errors of both sides, or the figures.
 */
async function transfer(name: string) {
  const model = someModel(ENCODINGS.fp32 as never, 5, 1_400_000);
  const linked = await link(memory(), 'memory://disk');
  const prepared = await prepareModel(model, codecs, 'file', memoryFolder(), 'x');
  const sending = sendPrepared(linked.near.streams, null, prepared).catch((error: FedStreamError) => error);
  const folder = nodeFolder(path);
  const receiving = linked.opened().then((stream) => receiveModel(stream, { codecs, folder, name }));
  const received = await receiving.catch((error: FedStreamError) => error);
  const sent = await sending;
  await linked.close();
  return { model, received, sent };
}

test.skipIf(!small)(
  'a full disk is an error on both sides; with room again, the transfer goes on from the last verified leaf',
  async () => {
    const full = await transfer('a');
    for (const error of [full.received, full.sent])
      expect(error).toMatchObject({ code: 'io', message: expect.stringContaining('disk is full') });
    const kept = (await nodeFolder(path).sizeBytes('a.part')) ?? 0;
    expect(kept).toBeGreaterThan(2 ** 20);
    expect(mount('-o', 'remount,size=32m')).toBe(true);
    const { model, received, sent } = await transfer('a');
    expect(sent).toMatchObject({ resumedBytes: Math.floor(kept / 2 ** 20) * 2 ** 20 });
    if (!('model' in received)) throw received;
    expect(Buffer.concat(await chunksOf(received.model)).equals(Buffer.concat(await chunksOf(model)))).toBe(true);
    await received.model.close?.();
  },
);

test.skipIf(!small)('a spool folder that cannot be written is one clear error', async () => {
  mkdirSync(join(path, 'sub'));
  expect(mount('-o', 'remount,ro')).toBe(true);
  const { received, sent } = await transfer('sub/b');
  for (const error of [received, sent]) expect(error).toMatchObject({ code: 'io', message: expect.stringContaining('read-only') });
  expect(mount('-o', 'remount,rw')).toBe(true);
  const again = await transfer('sub/b');
  expect(again.sent).toMatchObject({ resumedBytes: 0 });
  if ('model' in again.received) await again.received.model.close?.();
});
