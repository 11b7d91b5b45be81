// Installs the peers from PyPI, each into an environment of its own below bench/.cache, which sees the
// packages of .venv too: torch is gigabytes, and is there once.
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { command } from './command.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const cache = join(root, 'bench/.cache/peers');
const base = join(root, '.venv');

/** The packages of each peer, by the names of its environment. The versions are those that are measured. */
export const PEERS = {
  nvflare: { nvflare: '2.9.0', bitsandbytes: '0.50.2' },
  flower: { flwr: '1.42.0' },
};

/** The path of a program of an environment. */
export const programOf = (peer, name) => join(cache, peer, 'bin', name);

/** Makes what is missing; resolves with the versions of all packages that are measured. */
export async function preparePeers(peers, onStep) {
  if (!existsSync(base)) throw new Error('.venv is missing; run `node scripts/python-env.mjs` first');
  const versions = {};
  for (const peer of peers) {
    const wanted = PEERS[peer];
    let found = await versionsOf(peer, wanted);
    if (!isDeepEqual(found, wanted)) {
      onStep(`installing ${named(wanted)}: once, a minute`);
      await install(peer, wanted);
      found = await versionsOf(peer, wanted);
    }
    if (!isDeepEqual(found, wanted))
      throw new Error(`${join(cache, peer)} has ${named(found)}, not ${named(wanted)}; remove it and try again`);
    Object.assign(versions, found, await versionsOf(peer, { torch: '', numpy: '' }));
  }
  return versions;
}

async function install(peer, packages) {
  const folder = join(cache, peer);
  await command([join(base, 'bin/python'), '-m', 'venv', folder]);
  const [python] = readdirSync(join(folder, 'lib'));
  writeFileSync(join(folder, 'lib', python, 'site-packages/base.pth'), `${join(base, 'lib', python, 'site-packages')}\n`);
  const names = Object.entries(packages).map(([name, version]) => `${name}==${version}`);
  await command([programOf(peer, 'python'), '-m', 'pip', 'install', '--quiet', ...names], {
    env: { ...process.env, PIP_RETRIES: '0', PIP_DISABLE_PIP_VERSION_CHECK: '1' },
  });
}

async function versionsOf(peer, packages) {
  if (!existsSync(programOf(peer, 'python'))) return {};
  const text = `
import importlib.metadata as m, json, sys
found = {}
for name in sys.argv[1:]:
    try: found[name] = m.version(name)
    except m.PackageNotFoundError: pass
print(json.dumps(found))`;
  const { stdout } = await command([programOf(peer, 'python'), '-c', text, ...Object.keys(packages)]);
  return JSON.parse(stdout);
}

const named = (packages) =>
  Object.entries(packages)
    .map((pair) => pair.join(' '))
    .join(', ') || 'nothing';
const isDeepEqual = (a, b) => Object.keys(b).every((name) => a[name] === b[name]);
