// Every situation of models on the hub, and the limit on what its list of files may hold.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { BUDGETS } from '../../src/core/budgets.js';
import { findModel } from '../../src/node/model/find-model.js';
import { HUB_MODELS } from './hub-models.js';
import { testTable } from './situation.js';

testTable(HUB_MODELS);

test('budget hubFiles: a repository with more is refused before anything is fetched', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fedstream-hub-'));
  const asked: string[] = [];
  const files = Array.from({ length: BUDGETS.hubFiles.limit + 1 }, (_, i) => ({
    type: 'file',
    path: `f${i}.json`,
    size: 1,
    oid: 'a'.repeat(40),
  }));
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    const isTree = request.url?.includes('/tree/');
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify(isTree ? files : { id: 'org/name', sha: 'c'.repeat(40) }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const HF_ENDPOINT = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await expect(findModel('hf://org/name', { environment: { HF_HOME: folder, HF_ENDPOINT } })).rejects.toThrow(/more than the 5000 files/);
    expect(asked.some((url) => url.includes('/resolve/'))).toBe(false);
  } finally {
    server.close();
    rmSync(folder, { recursive: true });
  }
});
