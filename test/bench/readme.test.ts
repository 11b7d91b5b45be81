// bench/README.md lists every benchmark, and each has --help.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const readme = readFileSync(at('bench/README.md'), 'utf8');
const run = (...args: string[]) => spawnSync(process.execPath, args, { encoding: 'utf8' });
const scripts = readdirSync(at('bench'))
  .filter((name) => name.endsWith('.mjs') && name !== 'command.mjs')
  .sort();

test('every script has a row, and every row a script', () => {
  const rows = [...readme.matchAll(/^\| `node bench\/([a-z-]+\.mjs)` \|/gm)].map(([, name]) => name as string);
  expect(rows.sort()).toEqual(scripts);
});

test.each(scripts)('%s has --help', (name) => {
  const { status, stdout, stderr } = run(at(`bench/${name}`), '--help');
  expect(status, stderr).toBe(0);
  expect(stdout).toContain(`Usage: node bench/${name} [options]`);
});

test('every folder has the parts of a script of its name', () => {
  const folders = readdirSync(at('bench'), { withFileTypes: true }).filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'));
  expect(folders.map(({ name }) => `${name}.mjs`).filter((name) => !scripts.includes(name))).toEqual([]);
});

test('every subcommand of `fedstream bench` has a row, and every row a subcommand', () => {
  const { stdout } = run(at('bin/fedstream.mjs'), 'bench', '--help');
  const commands = [...(stdout.split('Commands:')[1] ?? '').matchAll(/^ {2}([a-z-]+) /gm)].map(([, name]) => name as string);
  const rows = [...readme.matchAll(/^\| `fedstream bench ([a-z-]+)` \|/gm)].map(([, name]) => name as string);
  expect(rows.length).toBeGreaterThan(3);
  expect(rows.sort()).toEqual(commands.filter((name) => name !== 'help').sort());
});
