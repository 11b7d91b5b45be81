// Writes docs/guide/bring-your-own.md from the tables in test/field.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root } from './setup.mjs';

const vitest = join(root, 'node_modules/vitest/vitest.mjs');
const done = spawnSync(process.execPath, [vitest, 'run', 'test/field/guide.test.ts'], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, FEDSTREAM_WRITE_GUIDE: '1' },
});
process.exitCode = done.status ?? 1;
