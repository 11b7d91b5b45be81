// Pages read well in a terminal, and their links lead somewhere.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import { pagesOf, root } from './blocks.js';

/** Made by scripts, whose own tests hold them to their rows. */
const MADE = new Set(['docs/dependencies.md', 'docs/evidence.md', 'docs/network.md']);
const PAGES = pagesOf(
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'docs',
  'examples',
  'python/README.md',
  'bench/README.md',
);

const read = (page: string): string => readFileSync(join(root, page), 'utf8');
const withoutCode = (text: string): string => text.replaceAll(/^\s*```[\s\S]*?^\s*```$/gm, '');

/** Lines of prose above 100 characters; tables, headings and pictures do not wrap. */
function longLines(text: string): string[] {
  return withoutCode(text)
    .split('\n')
    .filter((line) => [...line].length > 100 && !/^\s*[|#!<]/.test(line));
}

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(text: string): Set<string> {
  const headings = [...withoutCode(text).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading);
  const slug = (heading: string): string =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-');
  return new Set(headings.map(slug));
}

/** Links and pictures of a page that lead nowhere in this tree. */
function deadLinks(page: string, text: string): string[] {
  const links = [...withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
  return links
    .filter((link) => !/^(https?|mailto):/.test(link))
    .filter((link) => {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? page : relative(root, join(root, dirname(page), path));
      if (!existsSync(join(root, target))) return true;
      return anchor !== undefined && !anchorsOf(read(target)).has(anchor);
    });
}

describe('the looks at a page', () => {
  test('see long prose, and no code, tables or headings', () => {
    const long = `${'word '.repeat(25)}end`;
    expect(longLines(`${long}\n# ${long}\n| ${long} |\n\`\`\`sh\n${long}\n\`\`\`\n- ${long}`)).toEqual([long, `- ${long}`]);
  });

  test('see links to no file and to no heading', () => {
    const text = '# A `b`, c\n[1](README.md) [2](gone.md) [3](#a-b-c) [4](#gone) [5](docs/job.md#quantize) [6](https://a.b/c)';
    expect(deadLinks('README.md', text.replace('#a-b-c', '#two-commands'))).toEqual(['gone.md', '#gone']);
    expect([...anchorsOf(text)]).toEqual(['a-b-c']);
  });
});

test.each(PAGES)('the links of %s lead somewhere', (page) => {
  expect(deadLinks(page, read(page))).toEqual([]);
});

test.each(PAGES.filter((page) => !MADE.has(page)))('prose of %s wraps at 100 characters', (page) => {
  expect(longLines(read(page))).toEqual([]);
});

test('README.md is no longer than 120 lines', () => {
  expect(read('README.md').trimEnd().split('\n').length).toBeLessThanOrEqual(120);
});
