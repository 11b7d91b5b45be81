// The code blocks of pages, and the commands in them, for tests that run what a page shows.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Block {
  /** The page, by its path from the root. */
  readonly page: string;
  readonly language: string;
  readonly text: string;
  /** What its first line calls it: `// name.ts`. */
  readonly file: string | undefined;
  /** Position among the blocks of the page. */
  readonly index: number;
}

/** The blocks of a page in order. */
export function blocksOf(page: string): Block[] {
  const text = readFileSync(join(root, page), 'utf8');
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language = '', code = ''], index) => ({
    page,
    language,
    text: code,
    file: /^\/\/ ([\w-]+(?:\.test)?\.ts)\n/.exec(code)?.[1],
    index,
  }));
}

/** A file of the guide: all of them lie in one folder, and import each other. */
export function isOfGuide({ page, file }: Block): boolean {
  return page.startsWith('docs/guide/') && file !== undefined;
}

/** The pages of a folder and those under it, or a page itself; not those of docs/api, which a script makes. */
export function pagesOf(...paths: readonly string[]): string[] {
  return paths
    .flatMap((path) => {
      if (!statSync(join(root, path)).isDirectory()) return [path];
      const inside = readdirSync(join(root, path), { recursive: true, encoding: 'utf8' });
      return inside.filter((name) => name.endsWith('.md')).map((name) => `${path}/${name.replaceAll('\\', '/')}`);
    })
    .filter((page) => !page.startsWith('docs/api/'))
    .sort();
}

/** The command lines of a shell block: no comments, lines that end with a backslash go on. */
export function commandsOf({ text }: Block): string[] {
  return text
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .map((line) => line.replace(/(^|\s)#.*$/, '').trim())
    .filter((line) => line !== '');
}

/** The `fedstream` commands among them, each as its arguments. */
export function fedstreamCommands(block: Block): string[][] {
  return commandsOf(block)
    .flatMap((line) => line.split(/&&|\||;|&(?!&)/))
    .map((part) => part.trim().match(/'[^']*'|"[^"]*"|\S+/g) ?? [])
    .map((words) => words.map((word) => word.replace(/^(['"])(.*)\1$/, '$2')))
    .map((words) => (words[0] === 'npx' ? words.slice(1) : words))
    .filter(([command]) => command === 'fedstream')
    .map(([, ...args]) => args);
}
