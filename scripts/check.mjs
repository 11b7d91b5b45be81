// `npm run check`: format and lint, types, the pages of the API, the licences of what is installed. `npm test` runs the tests.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root, setup } from './setup.mjs';

await setup();
const steps = [
  ['lint and format', ['node_modules/@biomejs/biome/bin/biome', 'ci', '.']],
  ['types', ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.test.json']],
  ['the pages of the API', ['scripts/api.mjs', '--check']],
  ['the table of budgets', ['scripts/budgets.mjs', '--check']],
  ['dependencies and their licences', ['scripts/dependencies.mjs', '--check']],
];
for (const [what, [script, ...args]] of steps) {
  const done = spawnSync(process.execPath, [join(root, script), ...args], { cwd: root, stdio: 'inherit' });
  if (done.status !== 0) {
    process.stderr.write(`check: ${what} failed\n`);
    process.exit(1);
  }
}
process.stdout.write('check: all is well\n');
