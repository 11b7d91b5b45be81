// The code of the pages: TypeScript compiles, and commands are ones that there are. test/e2e/guide.test.ts runs what the guide
// shows.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commandLine } from '../../src/cli/main.js';
import { blocksOf, commandsOf, fedstreamCommands, isOfGuide, pagesOf, root } from './blocks.js';
import { type Compiled, compile } from './compile.js';

const PAGES = pagesOf('README.md', 'CONTRIBUTING.md', 'docs', 'examples', 'python/README.md');
const PACKAGE = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
const blocks = PAGES.flatMap(blocksOf);
const inTypeScript = blocks.filter(({ language }) => language === 'ts');
const guide = inTypeScript.filter(isOfGuide);

let compiled: Compiled;
beforeAll(() => {
  compiled = compile(inTypeScript);
});
afterAll(() => compiled.remove());

describe('TypeScript', () => {
  test('there is some, and no two files of the guide have one name', () => {
    expect(guide.length).toBeGreaterThan(12);
    expect(new Set(guide.map(({ file }) => file)).size).toBe(guide.length);
  });

  test('of every page compiles', () => {
    expect(compiled.errors).toBe('');
  });
});

/** What is wrong with a `fedstream` command: undefined where all of it is known. Nothing is done. */
async function faultOf(args: readonly string[]): Promise<string | undefined> {
  const program = commandLine();
  const quiet = (command: Command): void => {
    command.exitOverride().configureOutput({ writeOut: () => {}, writeErr: () => {} });
    if (command.commands.length === 0) command.action(() => {});
    for (const inner of command.commands) quiet(inner);
  };
  quiet(program);
  try {
    await program.parseAsync([...args], { from: 'user' });
    return undefined;
  } catch (error) {
    return `fedstream ${args.join(' ')}: ${(error as Error).message}`;
  }
}

describe('commands', () => {
  const shell = blocks.filter(({ language }) => language === 'sh');
  const all = shell.flatMap((block) => fedstreamCommands(block).map((args) => [block.page, args.join(' '), args] as const));

  test('the look at them sees continued lines, pipes, quotes and comments', () => {
    const text =
      "npx fedstream simulate --name 'a b' \\\n  --rounds 2 | jq . # fedstream nothing\n# fedstream no\nnpx fedstream inspect x &\n";
    const block = { page: '', language: 'sh', text, file: undefined, index: 0 };
    expect(fedstreamCommands(block)).toEqual([
      ['simulate', '--name', 'a b', '--rounds', '2'],
      ['inspect', 'x'],
    ]);
    expect(commandsOf(block)).toHaveLength(2);
  });

  test('an unknown command, option, choice, and a missing one are told', async () => {
    expect(await faultOf(['sail'])).toContain("unknown command 'sail'");
    expect(await faultOf(['simulate', '--sail'])).toContain("unknown option '--sail'");
    expect(await faultOf(['simulate', '--streaming', 'sail'])).toContain('Allowed choices');
    expect(await faultOf(['client', '--site', 'a'])).toContain("'--connect <url>' not specified");
    expect(await faultOf(['simulate', '--rounds', '3'])).toBeUndefined();
  });

  test('there are some', () => expect(all.length).toBeGreaterThan(20));
  test.each(all)('%s: fedstream %s', async (_page, _text, args) => {
    expect(await faultOf(args)).toBeUndefined();
  });

  test.each(shell.map((block) => [block.page, block.index, block] as const))(
    '%s, block %d: scripts and files are there',
    (_page, _index, block) => {
      const scripts = new Set(Object.keys(PACKAGE.scripts));
      for (const line of commandsOf(block)) {
        const [, script] = /^npm (?:run )?(\S+)/.exec(line) ?? [];
        if (script !== undefined && script !== 'install' && script !== 'ci') expect(scripts, line).toContain(script);
        const [, path] = /^node ((?:scripts|bench|bin)\/\S+)/.exec(line) ?? [];
        if (path !== undefined) expect(existsSync(join(root, path)), line).toBe(true);
      }
    },
  );
});

test('JSON of every page can be read', () => {
  for (const { page, language, text } of blocks)
    if (language === 'json') expect(() => text.split(/\n(?=\{)/).map((one) => JSON.parse(one)), page).not.toThrow();
});
