// The model that a site holds: what somebody else wrote to is not taken for it.
import { expect, test } from 'vitest';
import { referenceCodecs } from '../codec/codec-table.js';
import { memoryFolder } from '../core/memory-folder.js';
import { memoryStateDict } from '../tensor/memory-state-dict.js';
import { fileOf } from '../tensor/stored-file.js';
import { SiteHeld } from './site-held.js';

const MODEL = memoryStateDict([{ name: 'w', dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) }]);

test('a held model that a trainer wrote to is held no more', async () => {
  const folder = memoryFolder();
  const held = new SiteHeld({ folder, run: 'run', bases: [], codecs: referenceCodecs });
  const kept = await held.keep(MODEL);
  const file = fileOf((await held.current())?.model ?? MODEL);
  expect(file?.folder).toBe(folder);
  const written = await folder.create(file?.name as string, { keep: true });
  await written.write(Uint8Array.of(0x41), ((await folder.sizeBytes(file?.name as string)) as number) - 1);
  await written.close();
  expect(await held.current()).toBeUndefined();
  const again = await held.keep(MODEL);
  expect((await held.current())?.digest).toBe(again?.digest);
  expect(again?.digest).toBe(kept?.digest);
});
