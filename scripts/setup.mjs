// Makes a clone ready for use: installs packages and builds, each only if it is needed.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from './build.mjs';

/** The root of the repository. */
export const root = fileURLToPath(new URL('..', import.meta.url));

const OLDEST_NODE = [20, 19];

/**
 * Checks the version of Node, installs and builds; `options` are those of `build`. Slow steps are
 * announced on standard error.
 */
export async function setup(options) {
  checkNode();
  if (installNeeded()) {
    process.stderr.write('fedstream: installing packages (npm install)\n');
    if (!npmInstall(root))
      fail('npm install failed; its own lines above say why. Check the network and the npm registry, then run the command again.');
  }
  await build(options);
}

/** Runs `npm install` in a folder, with its output on stderr; whether it succeeded. */
export function npmInstall(folder, ...packages) {
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const args = ['install', '--ignore-scripts', '--no-save', '--no-audit', '--no-fund', '--loglevel=error', ...packages];
  return spawnSync(npm, args, { cwd: folder, stdio: ['ignore', 2, 2] }).status === 0;
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return;
  fail(`Node ${process.versions.node} is too old; install Node ${OLDEST_NODE.join('.')} or newer.`);
}

/**
 * True if packages are missing or out of date. npm writes node_modules/.package-lock.json last: one
 * that is older than the lock file means that an installation is missing or incomplete. `npm
 * install --no-save` takes the versions of the lock file and leaves it unchanged; `npm ci` refuses
 * a lock file without the optional packages of other platforms, which not every registry has.
 */
function installNeeded() {
  const installed = `${root}/node_modules/.package-lock.json`;
  return !existsSync(installed) || statSync(installed).mtimeMs < statSync(`${root}/package-lock.json`).mtimeMs;
}

function fail(message) {
  process.stderr.write(`fedstream: ${message}\n`);
  process.exit(1);
}
