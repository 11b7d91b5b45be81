// Runs what the guide shows: its TypeScript, and its commands, in the order in which a reader would.
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { breadth } from '../breadth.js';
import { type Block, blocksOf, isOfGuide, pagesOf, root } from '../docs/blocks.js';
import { type Compiled, compile } from '../docs/compile.js';
import { summaryOf } from './command.js';

const blocks = pagesOf('docs/guide').flatMap(blocksOf);
const files = blocks.filter(({ language }) => language === 'ts').filter(isOfGuide);

let compiled: Compiled;
/** The folder in which the reader works. */
let folder = '';
let path = '';

beforeAll(() => {
  compiled = compile(files);
  folder = compiled.sources;
  // `npx` finds the commands of this tree, with or without links to them.
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  const commands = `fedstream) set -- "${root}/bin/fedstream.mjs" "\${@:2}";; jiti) set -- "${root}/node_modules/jiti/lib/jiti-cli.mjs" "\${@:2}";;`;
  writeFileSync(join(bin, 'npx'), `#!/bin/bash\ncase "$1" in ${commands} *) exit 9;; esac\nexec "${process.execPath}" "$@"\n`);
  chmodSync(join(bin, 'npx'), 0o755);
  path = bin + delimiter + process.env.PATH;
});
afterAll(() => compiled.remove());

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

interface Started {
  readonly ended: Promise<Ended>;
  /** Resolves once the output holds the text, or the process has ended. */
  until(text: string): Promise<void>;
}

function start(command: string, args: readonly string[]): Started {
  const child = spawn(command, args, { cwd: folder, env: { ...process.env, PATH: path }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let changed = (): void => {};
  const take = (bytes: Buffer): void => {
    output += bytes;
    changed();
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  const ended = new Promise<Ended>((resolve) => child.on('close', (code) => resolve({ code, output })));
  const until = async (text: string): Promise<void> => {
    const seen = new Promise<void>((resolve) => {
      changed = () => {
        if (output.includes(text)) resolve();
      };
      changed();
    });
    await Promise.race([seen, ended]);
  };
  return { ended, until };
}

async function succeeds({ ended }: Started): Promise<string> {
  const { code, output } = await ended;
  expect(code, output).toBe(0);
  return output;
}

const shell = (text: string): Started => start('bash', ['-e', '-c', text]);

describe('TypeScript', () => {
  const script = (file: string, ...args: string[]): Started =>
    start(process.execPath, [join(compiled.scripts, file.replace(/\.ts$/, '.js')), ...args]);

  // The server and the site belong together, below.
  const alone = files.flatMap(({ file = '' }) => (file === 'server.ts' || file === 'site.ts' ? [] : [file]));
  test.each(alone)('%s runs', async (file) => {
    const output = await succeeds(script(file));
    if (file.endsWith('.test.ts')) expect(output).toMatch(/# pass [1-9]/);
    if (file === 'both.ts') expect(output).toMatch(/all rounds are done; w is (1\.9|2\.0)/);
    if (file === 'hub.ts') expect(output).toBe('x-ray 3, skin 6\n');
  });

  test('the server and its sites run', async () => {
    const port = await freePort();
    const url = `tcp://127.0.0.1:${port}`;
    const server = script('server.ts', 'run', url);
    await server.until('listening on');
    const sites = ['site-a', 'site-b'].map((site) => script('site.ts', site, url));
    for (const site of sites) expect(await succeeds(site)).toContain('all rounds are done');
    expect(await succeeds(server)).toMatch(/round 1: \d+ bytes up\n(.*\n)*all rounds are done\n$/);
  });

  test('jiti runs it as it is written', async () => {
    expect(await succeeds(shell('npx jiti both.ts'))).toContain('all rounds are done');
  });
});

/** The first block of a page with the language, behind a text. */
function find(page: string, language: string, text = ''): Block {
  const found = blocks.find((block) => block.page === `docs/guide/${page}` && block.language === language && block.text.includes(text));
  if (!found) throw new Error(`${page} has no ${language} block with ${JSON.stringify(text)}`);
  return found;
}

describe('kits', () => {
  const KITS = [
    ['own-filter.md', 'clamp-job.json', 'clamp'],
    ['own-aggregator.md', 'median-job.json', 'median'],
    ['own-workflow.md', 'proximal-job.json', 'proximal'],
  ] as const;
  test.each(breadth<readonly (readonly [string, string, string])[]>(KITS, KITS.slice(-1)))(
    'the job of %s runs with its kit',
    async (page, job, name) => {
      writeFileSync(join(folder, job), find(page, 'json').text);
      await succeeds(shell(find(page, 'sh', 'simulate').text));
      expect(summaryOf(folder, name).reason).toBe('all rounds are done');
    },
  );

  test('the trainer of own-trainer.md runs in every site', async () => {
    await succeeds(shell(find('own-trainer.md', 'sh', 'simulate').text));
    expect(summaryOf(folder, 'towards').final?.loss).toBeCloseTo(1, 3);
  });

  test('the codec of own-codec.md carries updates between processes', async () => {
    writeFileSync(join(folder, 'job.json'), find('first-federation.md', 'json').text);
    await succeeds(shell(find('own-codec.md', 'sh', 'simulate').text));
    expect(summaryOf(folder, 'int8').codec).toContain('int8');
  });
});

describe('first-federation.md', () => {
  const page = 'first-federation.md';

  test('every command, in order', { timeout: 300_000 }, async () => {
    const port = await freePort();
    const text = (block: Block): string => block.text.replaceAll('9000', String(port));
    writeFileSync(join(folder, 'job.json'), find(page, 'json').text);
    let running: Started[] = [];
    const finish = async (): Promise<void> => {
      for (const one of running) await succeeds(one);
      running = [];
    };
    let commands = 0;
    for (const block of blocks.filter((one) => one.page === `docs/guide/${page}` && one.language === 'sh')) {
      if (block.text.startsWith('git clone')) continue;
      commands++;
      const isSite = block.text.startsWith('npx fedstream client');
      if (!isSite) await finish();
      const started = shell(text(block));
      if (block.text.startsWith('npx fedstream server')) {
        running = [started];
        await started.until('listening on');
      } else if (isSite) running.push(started);
      else await succeeds(started);
    }
    await finish();
    expect(commands).toBeGreaterThan(8);
    const models = ['first', 'by-hand', 'over-tls'].map((name) => readFileSync(join(folder, `runs/${name}/model/model.safetensors`)));
    for (const model of models) expect(model.equals(models[0] as Buffer)).toBe(true);
  });
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
