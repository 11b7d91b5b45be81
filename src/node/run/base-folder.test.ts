// Models that a site's owner names: folders, and names in the Hugging Face cache.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { memoryStateDict } from '../../tensor/memory-state-dict.js';
import { writeSafetensors } from '../../tensor/safetensors.js';
import { nodeFolder } from '../storage/node-folder.js';
import { folderBase } from './base-folder.js';

const folder = mkdtempSync(join(tmpdir(), 'fedstream-base-'));
const snapshot = join(folder, 'hub/models--some--model/snapshots/abc');
const environment = { HF_HOME: folder };

beforeAll(async () => {
  mkdirSync(snapshot, { recursive: true });
  mkdirSync(join(folder, 'hub/models--some--model/refs'));
  writeFileSync(join(folder, 'hub/models--some--model/refs/main'), 'abc\n');
  const model = memoryStateDict([{ name: 'w', dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) }]);
  await writeSafetensors(nodeFolder(snapshot), 'model.safetensors', model);
});

afterAll(() => rmSync(folder, { recursive: true }));

test.each([snapshot, 'some/model'])('%s', async (name) => {
  const base = await folderBase(name, environment);
  expect(base).toMatchObject({ label: snapshot, stays: true });
  const model = await base.open();
  expect(model.manifest.tensors.map((tensor) => tensor.name)).toEqual(['w']);
  await model.close?.();
});

test('HF_HUB_CACHE wins', async () => {
  expect((await folderBase('some/model', { HF_HUB_CACHE: join(folder, 'hub'), HF_HOME: '/nowhere' })).label).toBe(snapshot);
});

test.each([
  ['some/other', /--base some\/other: there is no model at some\/other, nor one of that name in .*hub/],
  ['./missing', /--base \.\/missing: there is no model at \.\/missing$/],
  ['../some/model', /there is no model at \.\.\/some\/model$/],
])('%s is refused', async (name, message) => {
  await expect(folderBase(name, environment)).rejects.toThrow(message);
});
