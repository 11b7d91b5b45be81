// Builds the kernel modules in dist/wasm/ as far as they changed: all in one process, since the
// compiler takes longer to start than for most of them.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withSharedMemory } from './shared-memory.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * The kernel modules, each with its output, and its entry and own flags, or the one that it is with
 * shared memory. Memory is imported, so that its owner decides on its size and sharing.
 */
export const WASM_TARGETS = JSON.parse(readFileSync(join(root, 'assembly/targets.json'), 'utf8'));

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

/** Builds what is not current; throws where the compiler refuses, which has said why. */
async function buildKernels() {
  for (const target of WASM_TARGETS) {
    const { output, module, constant } = target;
    const out = join(root, 'dist/wasm', output);
    const stamp = `${out}.stamp`;
    const inputs = inputsOf(target);
    const isMade = existsSync(out) && (!module || existsSync(join(root, 'src', module)));
    if (isMade && existsSync(stamp) && readFileSync(stamp, 'utf8') === inputs) continue;
    mkdirSync(dirname(out), { recursive: true });
    if (target.of) writeFileSync(out, withSharedMemory(readFileSync(join(root, 'dist/wasm', target.of)), target.maximumPages));
    else await compile(target, out);
    if (module) writeModule(module, constant, readFileSync(out));
    writeFileSync(stamp, inputs);
  }
}

/**
 * Writes a small kernel as a module, to src/ for the tests and from there to dist/, so that neither
 * Node nor a page has to find a file.
 */
function writeModule(module, constant, wasm) {
  const text = `// Made by scripts/kernels.mjs.\nexport const ${constant} = '${wasm.toString('base64')}';\n`;
  writeFileSync(join(root, 'src', module), text);
}

async function compile({ entry, flags }, out) {
  const { default: asc } = await import('assemblyscript/asc');
  const files = [join('assembly', entry), '--baseDir', root, '--outFile', relative(root, out)];
  const { error, stderr } = await asc.main([...files, ...WASM_FLAGS, ...flags]);
  if (error) throw new Error(`assembly/${entry}: ${error.message}\n${stderr.toString()}`);
}

/** A digest of what a kernel is made from. */
function inputsOf(target) {
  const { entry } = target.of ? WASM_TARGETS.find(({ output }) => output === target.of) : target;
  const hash = createHash('sha256').update(JSON.stringify([WASM_FLAGS, target]));
  hash.update(readFileSync(join(root, 'package-lock.json')));
  const folder = dirname(join(root, 'assembly', entry));
  for (const name of readdirSync(folder, { recursive: true }).sort())
    if (name.endsWith('.ts')) hash.update(name).update(readFileSync(join(folder, name)));
  return hash.digest('hex');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildKernels();
