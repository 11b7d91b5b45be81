// The pages of docs/api list the package's exports, and every exported name has a docstring.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

interface Exported {
  readonly as: string;
  readonly doc: string;
  readonly texts: readonly string[];
}
interface Entry {
  readonly name: string;
  readonly about: string;
  readonly exports: readonly Exported[];
  readonly unlisted: readonly { readonly name: string }[];
}
const { entriesOf, faultsOf } = (await import(join(root, 'scripts/api.mjs'))) as {
  entriesOf(folder: string): Entry[];
  faultsOf(entries: readonly Entry[]): string[];
};
const { apiPages } = (await import(join(root, 'scripts/api/pages.mjs'))) as {
  apiPages(entries: readonly Entry[], root: string): Record<string, string>;
};

test('docs/api is current', () => {
  const { status, stderr } = spawnSync(process.execPath, [join(root, 'scripts/api.mjs'), '--check'], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
});

test('the pages list exactly the exports of the entries', async () => {
  for (const { name, exports } of entriesOf(root)) {
    const values = exports.filter(({ texts }) => !/^export (interface|type) /.test(texts[0] ?? '')).map(({ as }) => as);
    expect(values, name).toEqual(Object.keys((await import(name)) as object).sort());
  }
});

describe('a package of its own', () => {
  const dir = mkdtempSync(join(tmpdir(), 'fedstream-api-'));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  const write = (name: string, text: string): void => {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  };
  const exports = { '.': { types: './dist/index.d.ts' }, './more': { types: './dist/more.d.ts' }, './package.json': './package.json' };
  write('package.json', JSON.stringify({ name: 'kit', exports }));
  write('src/index.ts', '// The entry `kit`: what there is.\n');
  write('src/more.ts', '// Says nothing of itself.\n');
  write('dist/index.d.ts', "export { type A, b as c } from './deep/a.js';\nexport { D } from './more.js';\n");
  write(
    'dist/more.d.ts',
    '/** Is listed; not a `}` that ends it. */\nexport declare class D {\n    #private;\n    private x;\n    y: string;\n}\n',
  );
  write(
    'dist/deep/a.d.ts',
    `import { type E, F } from '../e.js';
import { z } from 'zod';
/** Of two forms; "E" here is a word alone. */
export type A = {
    kind: '};';
} | F;
interface Hidden {
    /** Names E in a comment. */
    value: z.ZodType;
}
export declare function b(one: Hidden): void;
/** In two lines,
 * on the second form. */
export declare function b(one: Hidden, two: number): void;
export declare const unused: E;
`,
  );
  write('dist/e.d.ts', '/** Not used. */\nexport interface E {\n}\n/** Used. */\nexport type F = { f: 1 };\n');
  const entries = entriesOf(dir);

  test('names, docstrings and texts are found through every kind of re-export', () => {
    expect(entries.map(({ name, about }) => [name, about])).toEqual([
      ['kit', 'What there is.'],
      ['kit/more', ''],
    ]);
    expect(entries[0]?.exports.map(({ as, doc, texts }) => [as, doc, texts.length])).toEqual([
      ['A', 'Of two forms; "E" here is a word alone.', 1],
      ['D', 'Is listed; not a `}` that ends it.', 1],
      ['c', 'In two lines,\non the second form.', 2],
    ]);
    expect(entries[0]?.exports[0]?.texts[0]).toBe("export type A = {\n    kind: '};';\n} | F;");
  });

  test('a name that is used but not exported is listed once', () => {
    expect(entries[0]?.unlisted.map(({ name }) => name)).toEqual(['Hidden', 'F']);
    expect(entries[1]?.unlisted).toEqual([]);
  });

  test('a page shows no private members', () => {
    const pages = apiPages(entries, dir);
    expect(Object.keys(pages)).toEqual(['README.md', 'kit.md', 'kit-more.md']);
    expect(pages['kit-more.md']).toContain('```ts\nclass D {\n  y: string;\n}\n```');
  });

  test('a name without a docstring is an error, and so is an entry without a description', () => {
    expect(faultsOf(entries)).toEqual(['kit/more: the first line of its source does not say what it is for']);
    write('dist/more.d.ts', 'export declare const D: 1;\n');
    expect(faultsOf(entriesOf(dir))).toEqual(expect.arrayContaining(['kit: D has no docstring', 'kit/more: D has no docstring']));
  });

  test('a name without a declaration is an error that names it', () => {
    write('dist/more.d.ts', "export { D } from './e.js';\n");
    expect(() => entriesOf(dir)).toThrow('exports no D');
  });
});
