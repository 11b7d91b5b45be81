// Joins the modules of src/ into few files, dist/bundle/: Node takes most of a second to find and
// load five hundred, and each site is a process. Modules that several entries use are in one chunk
// for all of them, so that a kit's `import … from 'fedstream'` gets what the command runs.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The modules that something loads by name: the package's exports, the command, threads, processes, the report. */
const ENTRIES = {
  api: 'api/index.ts',
  node: 'node/index.ts',
  drivers: 'node/drivers/index.ts',
  testing: 'testing/index.ts',
  trainer: 'node/trainer/bridge-client.ts',
  web: 'driver/web.ts',
  cli: 'cli/main.ts',
  'codec-thread': 'node/codec/codec-thread.ts',
  'llama-worker': 'node/trainer/llama-worker.ts',
  'tokenizer-worker': 'node/trainer/tokenizer-worker.ts',
  'draw-plots': 'cli/report/page/draw-plots.ts',
  'reduce-side': 'cli/bench/reduce-side.ts',
  'transfer-receiver': 'cli/bench/transfer-receiver.ts',
  'transfer-sender': 'cli/bench/transfer-sender.ts',
};

/** Bundles the sources, if they have changed. */
async function bundle() {
  const source = join(root, 'src');
  const folder = join(root, 'dist/bundle');
  const stamp = join(folder, '.stamp');
  const inputs = digest(source);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === inputs) return;
  const built = await rolldown({
    input: Object.fromEntries(Object.entries(ENTRIES).map(([name, path]) => [name, join(source, path)])),
    cwd: root,
    // TypeScript names the modules that it makes.
    resolve: { extensionAlias: { '.js': ['.ts', '.js'] } },
    platform: 'node',
    external: (id) => /^[a-z@]/i.test(id) && !id.startsWith('@oxc-project/'),
    // The package's own list of modules with side effects names those of the bundle.
    treeshake: { moduleSideEffects: true },
  });
  await built.write({
    dir: folder,
    format: 'esm',
    cleanDir: true,
    entryFileNames: 'entry/[name].js',
    chunkFileNames: 'chunk/[name].js',
    comments: { legal: true, annotation: false, jsdoc: false },
  });
  await built.close();
  writeFileSync(stamp, inputs);
}

function digest(source) {
  const hash = createHash('sha256').update(JSON.stringify(ENTRIES));
  hash.update(readFileSync(fileURLToPath(import.meta.url))).update(readFileSync(join(root, 'package-lock.json')));
  for (const name of readdirSync(source, { recursive: true }).sort()) {
    if (!/\.(js|ts)$/.test(name) || /\.(test|d)\.ts$/.test(name)) continue;
    hash.update(name).update(readFileSync(join(source, name)));
  }
  return hash.digest('hex');
}

await bundle();
