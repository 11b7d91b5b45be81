// Builds dist/, TypeScript with tsc -b and AssemblyScript kernels with asc, as far as they changed.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * The kernel modules, each with its entry, its output and its own flags. Memory is imported, so
 * that its owner decides on its size and sharing.
 */
const WASM_TARGETS = JSON.parse(readFileSync(join(root, 'assembly/targets.json'), 'utf8'));

const WASM_FLAGS = [
  '--optimizeLevel',
  '3',
  '--shrinkLevel',
  '0',
  '--converge',
  '--noAssert',
  '--runtime',
  'stub',
  '--enable',
  'simd',
  '--importMemory',
  '--noExportMemory',
];

/** Builds the parts of dist/ that are not current; ends the process if one fails. */
export function build() {
  for (const target of WASM_TARGETS) buildWasm(target);
  run('typescript/bin/tsc', ['-b'], 'TypeScript');
  for (const { module } of WASM_TARGETS) if (module) copyFileSync(join(root, 'src', module), join(root, 'dist', module));
  removeStale(join(root, 'dist'));
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
    if (name.startsWith('.tsbuildinfo/') || kernels.has(name)) continue;
    const source = join(root, 'src', name.replace(/\.d\.ts$|\.js$/, ''));
    const isMade = /\.(js|d\.ts)$/.test(name) && (existsSync(`${source}.ts`) || existsSync(join(root, 'src', name)));
    if (!isMade) rmSync(path, { force: true });
  }
}

/**
 * Writes a small kernel as a module, to src/ for the tests and from there to dist/, so that neither
 * Node nor a page has to find a file.
 */
function writeModule(module, constant, wasm) {
  const text = `// Made by scripts/build.mjs.\nexport const ${constant} = '${wasm.toString('base64')}';\n`;
  writeFileSync(join(root, 'src', module), text);
}

function buildWasm({ entry, output, flags, module, constant }) {
  const source = join(root, 'assembly', entry);
  if (!existsSync(source)) return;
  const out = join(root, 'dist/wasm', output);
  const stamp = `${out}.stamp`;
  const inputs = digest(dirname(source), flags);
  const isMade = existsSync(out) && (!module || existsSync(join(root, 'src', module)));
  if (isMade && existsSync(stamp) && readFileSync(stamp, 'utf8') === inputs) return;
  mkdirSync(dirname(out), { recursive: true });
  run(
    'assemblyscript/bin/asc.js',
    [relative(root, source), '--outFile', relative(root, out), ...WASM_FLAGS, ...flags],
    `kernels ${output}`,
  );
  if (module) writeModule(module, constant, readFileSync(out));
  writeFileSync(stamp, inputs);
}

function digest(folder, flags) {
  const hash = createHash('sha256').update(JSON.stringify([WASM_FLAGS, flags]));
  hash.update(readFileSync(join(root, 'package-lock.json')));
  for (const name of readdirSync(folder, { recursive: true }).sort())
    if (name.endsWith('.ts')) hash.update(name).update(readFileSync(join(folder, name)));
  return hash.digest('hex');
}

function run(script, args, what) {
  const done = spawnSync(process.execPath, [join(root, 'node_modules', script), ...args], { cwd: root, stdio: ['ignore', 2, 2] });
  if (done.status === 0) return;
  process.stderr.write(`fedstream: building ${what} failed; the lines above say why.\n`);
  process.exit(1);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) build();
