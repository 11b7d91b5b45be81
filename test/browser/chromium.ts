// The Chromium of this machine. Without it, tests that need it are skipped, or fail if
// FEDSTREAM_REQUIRE_CHROMIUM is set.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

const found = NAMES.find((name) => spawnSync(name, ['--version']).status === 0);
if (!found && process.env.FEDSTREAM_REQUIRE_CHROMIUM) throw new Error(`there is no ${NAMES.join(', no ')}: install chromium`);

/** For `test.skipIf`. */
export const withoutChromium = !found;

// Chromium sends nothing to the network by itself, and runs as root in a container, too.
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Opens a page; ends it with all its processes. */
export function openPage(url: string): { readonly said: () => string; close(): Promise<void> } {
  const profile = mkdtempSync(join(tmpdir(), 'fedstream-chromium-'));
  const flags = [...FLAGS, '--enable-logging=stderr', `--user-data-dir=${profile}`, url];
  // A process group of its own, since it has many processes and all must end.
  const browser = spawn(found as string, flags, { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  let said = '';
  browser.stderr.on('data', (text) => {
    said = (said + text).slice(-20_000);
  });
  const ended = new Promise<void>((resolve) => browser.on('close', () => resolve()));
  return {
    said: () => said,
    async close() {
      if (browser.pid !== undefined && browser.exitCode === null) process.kill(-browser.pid, 'SIGKILL');
      await ended;
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
