// The layer rule, checked on every file: a layer imports only from those under it, and layers below
// `node` use nothing of Node. There are no import cycles, not even of types, and files stay small.
import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const src = fileURLToPath(new URL('../src', import.meta.url));

/** The layers from the bottom up; those of one row do not import each other. */
const ROWS: readonly (readonly string[])[] = [
  ['core'],
  ['tensor', 'driver'],
  ['codec', 'frame'],
  ['stream'],
  ['transfer', 'message'],
  ['filter', 'trainer'],
  ['record', 'job'],
  ['exchange'],
  ['workflow'],
  ['kit'],
  ['site', 'server'],
  ['hub'],
  ['relay', 'swarm'],
  ['api'],
  // `testing` holds the conformance suites, which run anywhere.
  ['node', 'testing'],
  ['cli'],
];

/** Layers that may use Node. */
const ON_NODE = new Set(['node', 'cli']);

/** Packages that work only on Node. */
const NODE_PACKAGES = new Set(['@peculiar/x509', 'cli-progress', 'commander', 'jiti', 'picocolors', 'pino', 'ws']);

/** Scripts of a page: others may import only their types. */
const PAGES = ['cli/report/page/'];

const rankOf = new Map(ROWS.flatMap((row, rank) => row.map((layer) => [layer, rank] as const)));

interface Import {
  readonly from: string;
  readonly typeOnly: boolean;
}

/**
 * Every `import … from`, `export … from`, `import '…'` and `import('…')`. Statements begin a line,
 * since the formatter puts them there.
 */
function importsOf(source: string): Import[] {
  const statements =
    /^(?:import|export)\b(?<clause>[^;'"`]*?)\bfrom\s*['"](?<from>[^'"]+)['"]|^import\s*['"](?<bare>[^'"]+)['"]|\bimport\(\s*['"](?<dynamic>[^'"]+)['"]\s*\)/gm;
  return [...source.matchAll(statements)].map(({ groups = {} }) => ({
    from: (groups.from ?? groups.bare ?? groups.dynamic) as string,
    typeOnly: /^\s+type\b(?!\s*from)/.test(groups.clause ?? ''),
  }));
}

/** Faults in the imports of a file; `file` is its path below `src`. */
function violationsOf(file: string, source: string): string[] {
  const layer = file.split('/')[0] as string;
  const rank = rankOf.get(layer);
  if (rank === undefined) return [`${file}: ${layer} is no layer; give it a row in test/layers.test.ts`];
  const isTest = file.endsWith('.test.ts');
  const found: string[] = [];
  for (const { from, typeOnly } of importsOf(source)) {
    if (!from.startsWith('.')) {
      if (!ON_NODE.has(layer) && !isTest && needsNode(from)) found.push(`${file}: imports ${from}, which only Node has`);
      continue;
    }
    const target = posix.join(posix.dirname(file), from);
    const targetLayer = target.split('/')[0] as string;
    const targetRank = rankOf.get(targetLayer);
    if (targetRank === undefined) found.push(`${file}: imports ${target}, which is in no layer`);
    else if (targetLayer !== layer && targetRank >= rank) found.push(`${file}: imports ${target}; ${layer} is not above ${targetLayer}`);
    if (PAGES.some((page) => target.startsWith(page) && !file.startsWith(page)) && !typeOnly)
      found.push(`${file}: imports more than types of ${target}`);
  }
  if (!ON_NODE.has(layer) && !isTest && /^\/\/\/\s*<reference\s+types=["']node["']/m.test(source))
    found.push(`${file}: refers to the types of Node`);
  return found;
}

function needsNode(name: string): boolean {
  return (
    name.startsWith('node:') ||
    builtinModules.includes(name) ||
    builtinModules.includes(packageOf(name)) ||
    NODE_PACKAGES.has(packageOf(name))
  );
}

function packageOf(name: string): string {
  return name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/');
}

/**
 * Import cycles, including those of types, each as the files on the way back to the first.
 * `imports` has a row for each file.
 */
function circlesOf(imports: ReadonlyMap<string, readonly string[]>): string[][] {
  const done = new Set<string>();
  const way: string[] = [];
  const found: string[][] = [];
  const visit = (file: string): void => {
    const start = way.indexOf(file);
    if (start >= 0) found.push([...way.slice(start), file]);
    if (start >= 0 || done.has(file)) return;
    way.push(file);
    for (const target of imports.get(file) ?? []) visit(target);
    way.pop();
    done.add(file);
  };
  for (const file of imports.keys()) visit(file);
  return found;
}

/** The files of `src` that a file imports. */
function targetsOf(file: string, source: string): string[] {
  return importsOf(source)
    .filter(({ from }) => from.startsWith('.'))
    .map(({ from }) => posix.join(posix.dirname(file), from).replace(/\.js$/, '.ts'));
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => path.endsWith('.ts'))
  .sort();
const read = (file: string): string => readFileSync(join(src, file), 'utf8');

describe('the check itself', () => {
  test('sees every kind of import', () => {
    const source = [
      "import { a } from './a.js';",
      "import type { B } from './b.js';",
      "import {\n  c,\n  type D,\n} from './c.js';",
      "export { e } from './e.js';",
      "export type { F } from './f.js';",
      "import './g.js';",
      "const h = await import('./h.js');",
      'import i from "./i.js";',
      "import j, { type K } from './j.js';",
      "const text = 'no import from here';",
    ].join('\n');
    expect(importsOf(source).map(({ from }) => from)).toEqual(['a', 'b', 'c', 'e', 'f', 'g', 'h', 'i', 'j'].map((name) => `./${name}.js`));
    expect(importsOf(source).flatMap(({ from, typeOnly }) => (typeOnly ? [from] : []))).toEqual(['./b.js', './f.js']);
  });

  test('sees the imports of this project', () => {
    expect(importsOf(read('server/journal.ts')).map(({ from }) => from)).toEqual(
      expect.arrayContaining(['zod', '../core/errors.js', '../exchange/task.js']),
    );
    expect(importsOf(read('node/storage/node-folder.ts')).map(({ from }) => from)).toContain('node:fs');
    for (const file of files) {
      const lines = read(file).match(/^import\b(?!\.)/gm)?.length ?? 0;
      expect(importsOf(read(file)).length, file).toBeGreaterThanOrEqual(lines);
    }
  });

  test.each([
    ['core/x.ts', "import { a } from '../tensor/a.js';"],
    ['tensor/x.ts', "import { a } from '../driver/a.js';"],
    ['server/x.ts', "export { a } from '../node/a.js';"],
    ['workflow/deep/x.ts', "import type { A } from '../../cli/a.js';"],
    ['core/x.test.ts', "import { a } from '../codec/a.js';"],
    ['core/x.ts', "import { readFileSync } from 'node:fs';"],
    ['codec/x.ts', "import { readFile } from 'fs/promises';"],
    ['hub/x.ts', "import { pino } from 'pino';"],
    ['stream/x.ts', "const os = await import('os');"],
    ['core/x.ts', '/// <reference types="node" />'],
    ['nowhere/x.ts', ''],
    ['core/x.ts', "import { a } from '../nowhere/a.js';"],
    ['cli/report/x.ts', "import { draw } from './page/draw.js';"],
  ])('refuses in %s: %s', (file, source) => {
    expect(violationsOf(file, source)).toHaveLength(1);
  });

  test.each([
    ['tensor/x.ts', "import { a } from '../core/a.js';"],
    ['cli/deep/x.ts', "import { a } from '../../node/a.js';"],
    ['node/x.ts', "import { readFileSync } from 'node:fs';"],
    ['core/x.test.ts', "import { readFileSync } from 'node:fs';"],
    ['codec/x.ts', "import { crc32 } from 'hash-wasm';"],
    ['cli/report/x.ts', "import type { Page } from './page/draw.js';"],
    ['core/x.ts', "import { b } from './b.js';"],
  ])('allows in %s: %s', (file, source) => {
    expect(violationsOf(file, source)).toEqual([]);
  });
});

test('no file imports upward, sideways, or a module of Node where it may not', () => {
  expect(files.length).toBeGreaterThan(50);
  expect(files.flatMap((file) => violationsOf(file, read(file)))).toEqual([]);
});

describe('circles', () => {
  test('of two, of three, of one file, of types: all are found', () => {
    const imports = new Map([
      ['a.ts', targetsOf('a.ts', "import type { B } from './b.js';")],
      ['b.ts', targetsOf('b.ts', "import { a } from './a.js';\nimport { c } from './c.js';")],
      ['c.ts', ['d.ts']],
      ['d.ts', ['e.ts', 'f.ts']],
      ['e.ts', ['c.ts']],
      ['f.ts', ['f.ts']],
    ]);
    expect(circlesOf(imports)).toEqual([
      ['a.ts', 'b.ts', 'a.ts'],
      ['c.ts', 'd.ts', 'e.ts', 'c.ts'],
      ['f.ts', 'f.ts'],
    ]);
  });

  test('two ways to one file are no circle', () => {
    const imports = new Map([
      ['a.ts', ['b.ts', 'c.ts']],
      ['b.ts', ['d.ts']],
      ['c.ts', ['d.ts', 'zod']],
      ['d.ts', []],
    ]);
    expect(circlesOf(imports)).toEqual([]);
  });

  test('there are none', () => {
    const imports = new Map(files.map((file) => [file, targetsOf(file, read(file))]));
    const known = [...imports.values()].flat().filter((target) => imports.has(target));
    expect(known.length).toBeGreaterThan(files.length);
    expect(circlesOf(imports)).toEqual([]);
  });
});

describe('the size of files', () => {
  const sizes = files.map((file) => ({ file, lines: read(file).trimEnd().split('\n').length }));

  test('none has more than 400 lines', () => {
    expect(sizes.filter(({ lines }) => lines > 400)).toEqual([]);
  });

  test('half of them have at most 80, tests aside', () => {
    const sorted = sizes
      .filter(({ file }) => !file.endsWith('.test.ts'))
      .map(({ lines }) => lines)
      .sort((a, b) => a - b);
    expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThanOrEqual(80);
  });

  test('the first line says what a file does', () => {
    const silent = files.filter((file) => !file.endsWith('.test.ts') && !/^(\/\/ \S|\/\*\*? ?\S)/.test(read(file)));
    expect(silent).toEqual([]);
  });
});

test('only tests import the conformance suites', () => {
  const users = files.filter(
    (file) =>
      !file.startsWith('testing/') &&
      !file.endsWith('.test.ts') &&
      /\/testing\//.test(
        importsOf(read(file))
          .map(({ from }) => from)
          .join(' '),
      ),
  );
  expect(users).toEqual([]);
});

describe('TypeScript projects', () => {
  interface Project {
    compilerOptions?: { types?: string[]; lib?: string[] };
    references?: { path: string }[];
  }
  const root = join(src, '..');
  const load = (path: string): Project => JSON.parse(readFileSync(path, 'utf8')) as Project;
  const layers = readdirSync(src, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  const referencesOf = (folder: string): string[] => {
    const { references = [] } = load(join(folder, 'tsconfig.json'));
    return references.map(({ path }) => relative(root, join(folder, path)).replaceAll('\\', '/'));
  };

  test('the compiler knows of nothing but the language, except where Node may be used', () => {
    expect(load(join(root, 'tsconfig.base.json')).compilerOptions).toMatchObject({
      types: [],
      lib: ['ES2023', 'ES2024.ArrayBuffer', 'WebWorker'],
    });
    for (const layer of layers) {
      const { compilerOptions = {} } = load(join(src, layer, 'tsconfig.json'));
      expect(compilerOptions.types, layer).toEqual(ON_NODE.has(layer) ? ['node'] : undefined);
      expect(compilerOptions.lib, layer).toBeUndefined();
    }
  });

  test.each(layers)('%s refers to layers under it only, and to all that it imports', (layer) => {
    const references = referencesOf(join(src, layer));
    const rank = rankOf.get(layer) as number;
    for (const reference of references) {
      const target = reference.split('/')[1] as string;
      const own = PAGES.some((page) => `src/${page}` === `${reference}/` && target === layer);
      expect(own || (rankOf.get(target) as number) < rank, `${layer} refers to ${reference}`).toBe(true);
    }
    const imported = files
      .filter((file) => file.startsWith(`${layer}/`) && !file.endsWith('.test.ts'))
      .flatMap((file) =>
        importsOf(read(file)).map(({ from }) => (from.startsWith('.') ? posix.join(dirname(file), from).split('/')[0] : layer)),
      );
    expect(references.map((reference) => reference.split('/')[1])).toEqual(
      expect.arrayContaining([...new Set(imported)].filter((other) => other !== layer)),
    );
  });

  test('the build knows every project', () => {
    const all = [...layers.map((layer) => `src/${layer}`), ...PAGES.map((page) => `src/${page.slice(0, -1)}`)].sort();
    expect(referencesOf(root).sort()).toEqual(all);
  });
});
