// A process that has no file descriptor left: nothing ends it, and files wait until there is one.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { Descriptors, descriptorLimit } from './descriptors.js';

const BUILT = fileURLToPath(new URL('../../../dist/node', import.meta.url));

test('the limit is known, and connections may take what files do not need', () => {
  const limit = descriptorLimit();
  expect(limit).toBeGreaterThan(100);
  const descriptors = new Descriptors(100_000, 64);
  const before = descriptors.spare();
  expect(before).toBeLessThan(100_000 - 64);
  for (let i = 0; i < 10; i++) descriptors.accepted();
  expect(descriptors.spare()).toBeLessThanOrEqual(before);
  expect(new Descriptors(70, 64).spare()).toBeLessThan(0);
  expect(new Descriptors(Number.POSITIVE_INFINITY, 64).spare()).toBe(Number.POSITIVE_INFINITY);
});

test.runIf(process.platform === 'linux')('without a descriptor memory is read, connections get none, and files are opened later', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fedstream-descriptors-'));
  const script = `
    import { closeSync, openSync } from 'node:fs';
    import { processMemory } from '${BUILT}/process/memory.js';
    import { Descriptors, descriptorLimit } from '${BUILT}/process/descriptors.js';
    import { nodeFolder } from '${BUILT}/storage/node-folder.js';
    const found = { limit: descriptorLimit() };
    const run = nodeFolder(${JSON.stringify(folder)});
    const descriptors = new Descriptors();
    const taken = [];
    try { for (;;) taken.push(openSync('/dev/null', 'r')); } catch (error) { found.code = error.code; }
    found.rssBytes = processMemory().rssBytes;
    found.spare = descriptors.spare() < 0;
    setTimeout(() => { for (const one of taken) closeSync(one); }, 300);
    const file = await run.create('a/spool');
    await file.write(new Uint8Array(3), 0);
    await file.sync();
    await file.close();
    await run.rename('a/spool', 'b');
    found.size = await run.sizeBytes('b');
    console.log(JSON.stringify(found));`;
  const { stdout, stderr } = spawnSync('bash', ['-c', 'ulimit -n 80; exec "$0" --input-type=module -e "$1"', process.execPath, script], {
    encoding: 'utf8',
  });
  rmSync(folder, { recursive: true });
  expect(stderr).toBe('');
  const { rssBytes, ...found } = JSON.parse(stdout) as Record<string, number>;
  expect(rssBytes).toBeGreaterThan(1e6);
  expect(found).toEqual({ limit: 80, code: 'EMFILE', spare: true, size: 3 });
});
