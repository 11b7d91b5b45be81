// Runs a script on another version of Node: `node scripts/on-node.mjs 26 scripts/test.mjs --project fast`.
// npm has the binaries as packages; they are kept in .nodes. Without a script it prints the folder of
// the binary, for PATH.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { npmInstall, root } from './setup.mjs';

/** The versions on which the suite must pass, oldest first: the first is the one of `engines`. */
export const NODE_VERSIONS = ['20.19', '22', '24', '26'];

const SYSTEMS = { win32: 'win' };

/** The binary of a version in .nodes, which is fetched if it is not there. Throws where npm has none. */
export function nodeOf(version) {
  const folder = join(root, '.nodes', version);
  const name = `node-${SYSTEMS[process.platform] ?? process.platform}-${process.arch}`;
  const binary = join(folder, 'node_modules', name, process.platform === 'win32' ? 'bin/node.exe' : 'bin/node');
  if (existsSync(binary)) return binary;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{"private":true}\n');
  process.stderr.write(`fedstream: fetching Node ${version} (npm install ${name}@${version})\n`);
  if (!npmInstall(folder, `${name}@${version}`) || !existsSync(binary))
    throw new Error(`npm has no ${name}@${version}; its own lines above say why`);
  return binary;
}

function main([version, ...command]) {
  const versions = version === 'all' ? NODE_VERSIONS : [version];
  if (!version || versions.some((one) => !/^\d+(\.\d+){0,2}$/.test(one))) {
    process.stderr.write(
      `usage: node scripts/on-node.mjs VERSION [SCRIPT [ARGUMENT …]]\nVERSION is ${NODE_VERSIONS.join(', ')}, another one, or all.\n` +
        'Example: node scripts/on-node.mjs all scripts/test.mjs --project fast\n',
    );
    return 2;
  }
  for (const one of versions) {
    const binary = nodeOf(one);
    if (command.length === 0) {
      process.stdout.write(`${dirname(binary)}\n`);
      continue;
    }
    process.stderr.write(`fedstream: on Node ${one}: ${command.join(' ')}\n`);
    // Programs that the script starts by the name `node` get the same version.
    const env = { ...process.env, PATH: `${dirname(binary)}${delimiter}${process.env.PATH}` };
    const { status } = spawnSync(binary, command, { cwd: root, stdio: 'inherit', env });
    if (status !== 0) {
      process.stderr.write(`fedstream: on Node ${one}: ${command.join(' ')} failed\n`);
      return 1;
    }
  }
  return 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = main(process.argv.slice(2));
