// `npm test`, `npm run test:fast` and `npm run test:full`: runs the tests; the last line is `N passed, N failed`.
// The full suite (--full, or FEDSTREAM_SUITE=full as in CI) tries every seed, scheme and step, the others a share of each.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { root, setup } from './setup.mjs';

const MOST_SLOW = 10;

await setup();
const folder = mkdtempSync(join(tmpdir(), 'fedstream-test-'));
const report = join(folder, 'report.json');
const vitest = join(root, 'node_modules/vitest/vitest.mjs');
const args = [
  vitest,
  'run',
  '--reporter=default',
  '--reporter=json',
  `--outputFile.json=${report}`,
  ...process.argv.slice(2).filter((arg) => arg !== '--full'),
];
const env = process.argv.includes('--full') ? { ...process.env, FEDSTREAM_SUITE: 'full' } : process.env;
const done = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit', env });
const result = read(report);
const closing = closingLine(result);
rmSync(folder, { recursive: true, force: true });
if (result) process.stdout.write(slowest(result));
process.stdout.write(`${closing.line}\n`);
process.exit(done.status === 0 && closing.failed === 0 && closing.passed > 0 ? 0 : 1);

/**
 * Counts from the runner's own report; a test file that could not be loaded counts as one failure.
 */
function closingLine(result) {
  if (!result) return { passed: 0, failed: 1, line: '0 passed, 1 failed' };
  const broken = result.testResults.filter(
    (suite) => suite.status === 'failed' && suite.assertionResults.every((test) => test.status !== 'failed'),
  ).length;
  const passed = result.numPassedTests;
  const failed = result.numFailedTests + broken;
  const skipped = result.numPendingTests + result.numTodoTests;
  return { passed, failed, line: `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}` };
}

function read(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/** The files that took longest; CONTRIBUTING.md has the reasons. */
function slowest({ testResults }) {
  const files = testResults.map(({ name, startTime, endTime }) => [relative(root, name), (endTime - startTime) / 1000]);
  const lines = files.sort(([, a], [, b]) => b - a).slice(0, MOST_SLOW);
  return ['', 'The slowest files:', ...lines.map(([name, seconds]) => `${seconds.toFixed(1).padStart(7)} s  ${name}`), '', ''].join('\n');
}
