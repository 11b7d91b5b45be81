// Compiles the TypeScript of pages, in a folder inside the tree, so that `fedstream` is this package.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Block, isOfGuide, root } from './blocks.js';

export interface Compiled {
  /** What the compiler says; empty where all is well. */
  readonly errors: string;
  /** The guide's files as they are written. */
  readonly sources: string;
  /** The same, compiled. */
  readonly scripts: string;
  remove(): void;
}

const OPTIONS = {
  extends: join(root, 'tsconfig.base.json'),
  compilerOptions: {
    composite: false,
    declaration: false,
    types: ['node'],
    rootDir: '.',
    outDir: 'out',
    moduleDetection: 'force',
    // Some pages show how to import what they then describe.
    noUnusedLocals: false,
  },
  include: ['**/*.ts'],
};

/** Named blocks of the guide are one folder of files; every other block stands alone. */
export function compile(blocks: readonly Block[]): Compiled {
  mkdirSync(join(root, '.tmp'), { recursive: true });
  const folder = mkdtempSync(join(root, '.tmp/pages-'));
  for (const block of blocks) {
    const path = join(folder, pathOf(block));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, block.text);
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(OPTIONS));
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const { stdout, stderr } = spawnSync(process.execPath, [compiler, '-p', folder], { encoding: 'utf8' });
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  return { errors: stdout + stderr, sources: join(folder, 'guide'), scripts: join(folder, 'out/guide'), remove };
}

function pathOf(block: Block): string {
  return isOfGuide(block) ? `guide/${block.file}` : `${block.page.replaceAll('/', '-').replace('.md', '')}/block-${block.index}.ts`;
}
