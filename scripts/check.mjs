// `npm run check`: format and lint, types, layers. The suite itself is `npm test`.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root, setup } from './setup.mjs';

setup();
const steps = [
  ['lint and format', ['@biomejs/biome/bin/biome', 'ci', '.']],
  ['types', ['typescript/bin/tsc', '-p', 'tsconfig.test.json']],
];
for (const [what, [script, ...args]] of steps) {
  const done = spawnSync(process.execPath, [join(root, 'node_modules', script), ...args], { cwd: root, stdio: 'inherit' });
  if (done.status !== 0) {
    process.stderr.write(`check: ${what} failed\n`);
    process.exit(1);
  }
}
process.stdout.write('check: all is well\n');
