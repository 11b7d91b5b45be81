// Builds dist/ as far as it changed: the kernels with asc, TypeScript with tsc -b, and the bundle of
// both that the command and the package's exports are.
import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WASM_TARGETS } from './kernels.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * Builds the parts of dist/ that are not current; ends the process if one fails. With `onlyCommand`,
 * what `fedstream` runs, without checking types or making modules for others.
 */
export async function build({ onlyCommand = false } = {}) {
  const kernels = run('scripts/kernels.mjs', [], 'the kernels');
  const typed = onlyCommand ? undefined : run('node_modules/typescript/bin/tsc', ['-b'], 'TypeScript');
  await Promise.all([kernels, typed]);
  if (!onlyCommand) {
    for (const { module } of WASM_TARGETS) if (module) copy(join(root, 'src', module), join(root, 'dist', module));
    removeStale(join(root, 'dist'));
  }
  await run('scripts/bundle.mjs', [], 'the bundle');
}

function copy(from, to) {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
}

/**
 * Removes files that no source makes any more: they could still be imported, and would be packed.
 */
function removeStale(dist) {
  const kernels = new Set(WASM_TARGETS.flatMap(({ output }) => [`wasm/${output}`, `wasm/${output}.stamp`]));
  for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const name = relative(dist, path).replaceAll('\\', '/');
    if (name.startsWith('.tsbuildinfo/') || name.startsWith('bundle/') || kernels.has(name)) continue;
    const source = join(root, 'src', name.replace(/\.d\.ts$|\.js$/, ''));
    const isMade = /\.(js|d\.ts)$/.test(name) && (existsSync(`${source}.ts`) || existsSync(join(root, 'src', name)));
    if (!isMade) rmSync(path, { force: true });
  }
}

async function run(script, args, what) {
  const child = spawn(process.execPath, [join(root, script), ...args], { cwd: root, stdio: ['ignore', 2, 2] });
  const status = await new Promise((resolve) => child.on('close', resolve));
  if (status === 0) return;
  process.stderr.write(`fedstream: building ${what} failed; the lines above say why.\n`);
  process.exit(1);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await build();
