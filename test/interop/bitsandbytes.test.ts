// Files in the layout of bitsandbytes, read by an independent reader in NumPy, if the machine has
// it.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { writeBitsandbytesModel } from '../../src/codec/bitsandbytes-file.js';
import { parseCodecName } from '../../src/codec/codec-name.js';
import { decodeModel, encodeModel } from '../../src/codec/quantize.js';
import { nodeCodecs } from '../../src/node/codec/codecs.js';
import { nodeFolder } from '../../src/node/storage/node-folder.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import { writeSafetensors } from '../../src/tensor/safetensors.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import { narrowInto } from '../../src/tensor/widen.js';

const python = spawnSync('python3', ['-c', 'import numpy']).status === 0;
const reader = fileURLToPath(new URL('read_bitsandbytes.py', import.meta.url));

/** Odd lengths, several chunks, every dtype. */
function model(): StateDict {
  const weights = Float32Array.from({ length: 601 * 1000 }, (_, i) => Math.sin(i * i) / 10);
  const some = weights.subarray(0, 33 * 65);
  return memoryStateDict([
    { name: 'norm', dtype: 'F32', shape: [7], data: weights.slice(0, 7) },
    { name: 'a.weight', dtype: 'F32', shape: [601, 1000], data: weights },
    { name: 'b.weight', dtype: 'BF16', shape: [33, 65], data: narrowInto('BF16', some, new Uint8Array(some.length * 2)) },
    { name: 'c.weight', dtype: 'F16', shape: [65, 33], data: narrowInto('F16', some, new Uint8Array(some.length * 2)) },
    { name: 'steps', dtype: 'I64', shape: [1], data: BigInt64Array.of(5n) },
  ]);
}

test.skipIf(!python).each(['nf4', 'fp4', 'nf4-nested', 'fp4-nested', 'nf4:128'])('%s is read by NumPy to the same bits', async (name) => {
  const path = mkdtempSync(join(tmpdir(), 'fedstream-bnb-'));
  try {
    const folder = nodeFolder(path);
    const coded = encodeModel(
      model(),
      (tensor) => (tensor.name.endsWith('weight') ? parseCodecName(name, nodeCodecs()) : { codec: 'raw' }),
      nodeCodecs(),
    );
    await writeBitsandbytesModel(folder, 'coded', coded);
    await writeSafetensors(folder, 'plain', decodeModel(coded, nodeCodecs()));
    const ran = spawnSync('python3', [reader, join(path, 'coded'), join(path, 'plain')], { encoding: 'utf8' });
    expect(ran.stdout + ran.stderr).toBe('5 tensors, 3 of them 4-bit, equal\n');
    expect(ran.status).toBe(0);
    await writeSafetensors(folder, 'other', model());
    expect(spawnSync('python3', [reader, join(path, 'coded'), join(path, 'other')], { encoding: 'utf8' }).stdout).toMatch(
      /weight .* differs/,
    );
  } finally {
    rmSync(path, { recursive: true });
  }
});
