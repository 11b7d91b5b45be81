// Models that a run begins with: coded files are decoded, never trained as their codes.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { writeBitsandbytesModel } from '../../codec/bitsandbytes-file.js';
import { writeCodedModel } from '../../codec/coded-file.js';
import { decodeModel, encodeModel } from '../../codec/quantize.js';
import { memoryStateDict } from '../../tensor/memory-state-dict.js';
import type { StateDict } from '../../tensor/state-dict.js';
import { nodeCodecs } from '../codec/codecs.js';
import { nodeFolder } from '../storage/node-folder.js';
import { findModel } from './find-model.js';
import { openStartModel } from './start-model.js';

async function bytesOf(model: StateDict): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const { bytes } of model.chunks()) parts.push(Buffer.from(bytes));
  await model.close?.();
  return Buffer.concat(parts);
}

test.each(['fedstream', 'bitsandbytes'])('a file in the layout of %s begins a run with its decoded values', async (layout) => {
  const path = mkdtempSync(join(tmpdir(), 'fedstream-start-'));
  try {
    const codecs = nodeCodecs();
    const data = Float32Array.from({ length: 256 }, (_, i) => Math.sin(i));
    const coded = () =>
      encodeModel(memoryStateDict([{ name: 'w', dtype: 'F32', shape: [2, 128], data }]), () => ({ codec: 'nf4', blockSize: 64 }), codecs);
    const folder = nodeFolder(path);
    if (layout === 'bitsandbytes') await writeBitsandbytesModel(folder, 'model.safetensors', coded());
    else await writeCodedModel(folder, 'model.safetensors', coded(), codecs);
    const model = await openStartModel(await findModel(path));
    expect(model.manifest.tensors).toEqual([{ name: 'w', dtype: 'F32', shape: [2, 128], encoding: { codec: 'raw' } }]);
    expect((await bytesOf(model)).equals(await bytesOf(decodeModel(coded(), codecs)))).toBe(true);
  } finally {
    rmSync(path, { recursive: true });
  }
});
