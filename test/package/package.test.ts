// The package as it would be published: its files, every entry, its types, and a job that it runs.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const consumers = fileURLToPath(new URL('./consumer', import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'fedstream-package-'));
const installed = join(dir, 'node_modules/fedstream');
const tarball = join(dir, 'fedstream.tgz');

interface Manifest {
  readonly version: string;
  readonly bin: Record<string, string>;
  readonly sideEffects: readonly string[];
  readonly exports: Record<string, string | { types: string; default: string }>;
  readonly dependencies: Record<string, string>;
  readonly optionalDependencies: Record<string, string>;
}
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
const entries = Object.keys(manifest.exports)
  .filter((name) => !name.endsWith('.json'))
  .map((name) => `fedstream${name.slice(1)}`);

function run(command: string, args: readonly string[], cwd = dir): string {
  const done = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    timeout: 100_000,
    shell: process.platform === 'win32' && command === 'npm',
  });
  expect(done.status, `${command} ${args.join(' ')}\n${done.error ?? ''}${done.stdout}${done.stderr}`).toBe(0);
  return done.stdout;
}

/**
 * Does the work of `npm install` of the tarball without a network: only its dependencies can be
 * found from there.
 */
beforeAll(() => {
  const [packed] = JSON.parse(run('npm', ['pack', '--json', '--ignore-scripts', '--offline', '--pack-destination', dir], root)) as [
    { filename: string },
  ];
  copyFileSync(join(dir, packed.filename), tarball);
  mkdirSync(installed, { recursive: true });
  run('tar', ['-xzf', tarball, '--strip-components=1', '-C', installed]);
  const { dependencies, optionalDependencies } = manifest;
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) link(name);
  writeFileSync(join(dir, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function link(name: string): void {
  const target = join(root, 'node_modules', name);
  const place = join(dir, 'node_modules', name);
  if (!existsSync(target)) return; // optional, and not there on this platform
  mkdirSync(dirname(place), { recursive: true });
  symlinkSync(target, place, 'junction');
}

const packedFiles = (): string[] =>
  readdirSync(installed, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(installed, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .sort();

describe('what is packed', () => {
  test('no sources, no tests, and nothing that only the build needs', () => {
    const kinds =
      /^(dist\/.*\.(js|d\.ts|wasm)|bin\/fedstream\.mjs|docs\/.*\.(md|svg|png)|proto\/.*\.proto|[A-Z]+\.md|LICENSE|package\.json)$/;
    expect(packedFiles().filter((file) => !kinds.test(file))).toEqual([]);
    expect(packedFiles().filter((file) => /\.test\.|\.tsbuildinfo|\.map$|\.stamp$/.test(file))).toEqual([]);
  });

  test('the modules are the bundle, made of what is built now', () => {
    const modules = packedFiles().filter((file) => file.endsWith('.js'));
    expect(modules.filter((file) => !/^dist\/bundle\/(entry|chunk)\//.test(file))).toEqual([]);
    run(process.execPath, [join(root, 'scripts/build.mjs')], root);
    for (const file of modules) expect(readFileSync(join(installed, file)), file).toEqual(readFileSync(join(root, file)));
  });

  test('each declaration has a source: no leftovers of an earlier build', () => {
    const orphans = packedFiles()
      .filter((file) => /^dist\/.*\.d\.ts$/.test(file))
      .filter((file) => {
        const source = join(root, 'src', file.slice('dist/'.length).replace(/\.d\.ts$/, ''));
        return !existsSync(`${source}.ts`) && !existsSync(`${source}.js`);
      });
    expect(orphans).toEqual([]);
  });

  test('files that users look for, and those that package.json names', () => {
    const named = Object.values(manifest.exports).flatMap((entry) => (typeof entry === 'string' ? [entry] : [entry.types, entry.default]));
    const files = packedFiles();
    const wanted = [
      ...[...named, ...Object.values(manifest.bin), ...manifest.sideEffects.filter((pattern) => !pattern.includes('*'))].map((file) =>
        file.replace(/^\.\//, ''),
      ),
      ...['LICENSE', 'README.md', 'SECURITY.md', 'CHANGELOG.md', 'ARCHITECTURE.md', 'docs/job.md'],
    ];
    expect(wanted.filter((file) => !files.includes(file))).toEqual([]);
  });

  test('publint has nothing to say', async () => {
    const { messages, pkg } = await publint({ pkgDir: installed, pack: false, strict: true });
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
  });

  test('the types are right for every way to import the package', async () => {
    const analysis = await checkPackage(createPackageFromTarballData(readFileSync(tarball)));
    if (!analysis.types) throw new Error('no types are packed');
    expect(Object.keys(analysis.entrypoints)).toEqual(expect.arrayContaining(Object.keys(manifest.exports)));
    // The package is for `import` (`require` of it works from Node 20.19 on), and for resolvers
    // that know
    // `exports`.
    const problems = analysis.problems.filter(
      (problem) => !('resolutionKind' in problem && ['node10', 'node16-cjs'].includes(problem.resolutionKind)),
    );
    expect(problems).toEqual([]);
  });
});

describe('installed elsewhere', () => {
  test('every entry loads, with its dependencies and nothing else', () => {
    const program = `${entries.map((name, i) => `import * as m${i} from '${name}';`).join('\n')}
console.log(JSON.stringify([${entries.map((_, i) => `Object.keys(m${i}).length`).join(', ')}]));`;
    writeFileSync(join(dir, 'load.mjs'), program);
    const counts = JSON.parse(run(process.execPath, ['load.mjs'])) as number[];
    expect(counts).toHaveLength(entries.length);
    for (const [i, count] of counts.entries()) expect(count, entries[i]).toBeGreaterThan(0);
  });

  test('the command tells its version', () => {
    expect(run(process.execPath, [join(installed, 'bin/fedstream.mjs'), '--version']).trim()).toBe(manifest.version);
  });

  test('a job of its own runs, trained, coded and sent by what is packed', () => {
    const job = {
      rounds: 1,
      sites: 1,
      model: { hiddenSize: 16, layers: 1, heads: 2, kvHeads: 1, ffnSize: 32, vocabularySize: 300 },
      data: { generated: 60 },
      train: { localSteps: 1, batchSize: 2 },
    };
    writeFileSync(join(dir, 'job.ts'), `import { defineJob } from 'fedstream';\nexport const job = defineJob(${JSON.stringify(job)});\n`);
    const program = join(installed, 'bin/fedstream.mjs');
    const summary = JSON.parse(run(process.execPath, [program, 'simulate', '--job', 'job.ts', '--name', 'packed', '--json']));
    expect(summary).toMatchObject({ roundsPlanned: 1, steps: 1, codec: 'u4' });
    expect(readdirSync(join(dir, 'runs/packed'))).toEqual(expect.arrayContaining(['report.html', 'summary.json', 'model']));
  });
});

describe('types of what is packed, strictly and without skipLibCheck', () => {
  const strict = { strict: true, skipLibCheck: false, noEmit: true, noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: false };
  const page = { lib: ['ES2023', 'DOM', 'DOM.Iterable'], types: [] };
  const onNode = { lib: ['ES2023'], types: ['node'] };

  test.each([
    ['on-node.ts', 'node16', { ...onNode, module: 'node16', moduleResolution: 'node16' }],
    ['on-node.ts', 'bundler', { ...onNode, module: 'esnext', moduleResolution: 'bundler' }],
    ['in-page.ts', 'node16', { ...page, module: 'node16', moduleResolution: 'node16' }],
    ['in-page.ts', 'bundler', { ...page, module: 'esnext', moduleResolution: 'bundler' }],
  ])('%s under %s', (file, resolution, options) => {
    if (!existsSync(join(dir, 'node_modules/@types/node'))) link('@types/node');
    copyFileSync(join(consumers, file), join(dir, file));
    const project = join(dir, `tsconfig.${file}.${resolution}.json`);
    writeFileSync(project, JSON.stringify({ compilerOptions: { ...strict, target: 'es2022', ...options }, files: [file] }));
    run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', project]);
  });

  test('a wrong use is found: the declarations are not `any`', () => {
    writeFileSync(join(dir, 'wrong.ts'), "import { defineJob } from 'fedstream';\nexport const job = defineJob({ rounds: 'five' });\n");
    const project = join(dir, 'tsconfig.wrong.json');
    const options = { ...strict, target: 'es2022', module: 'node16', moduleResolution: 'node16', ...onNode };
    writeFileSync(project, JSON.stringify({ compilerOptions: options, files: ['wrong.ts'] }));
    const done = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', project], {
      cwd: dir,
      encoding: 'utf8',
    });
    expect(done.status).not.toBe(0);
    expect(done.stdout).toMatch(/wrong\.ts\(2,.*'string'/s);
  });
});
