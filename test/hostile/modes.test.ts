// Other users of the machine: nothing that a run leaves on the disk can be read by them.
import { chmodSync, lstatSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { jobFile, run, workFolder } from '../e2e/command.js';

const OTHERS = 0o077;
const folder = workFolder();
const before = process.umask(0o022);
afterAll(() => void process.umask(before));

/** The files and folders below a path that somebody else may read or enter. */
function loose(path: string): string[] {
  const status = lstatSync(path);
  if (status.isSymbolicLink()) return [];
  const inside = status.isDirectory() ? readdirSync(path).flatMap((name) => loose(join(path, name))) : [];
  return (status.mode & OTHERS) === 0 ? inside : [`${relative(folder, path)} ${(status.mode & 0o777).toString(8)}`, ...inside];
}

beforeAll(async () => {
  const { code, stderr } = await run(
    ['simulate', '--job', jobFile(folder), '--name', 'one', '--rounds', '1', '--events', 'events.jsonl'],
    folder,
  );
  expect(code, stderr).toBe(0);
});

test('a run folder with its data, models, optimizer states and logs is for its owner alone', () => {
  const names = readdirSync(join(folder, 'runs/one'), { recursive: true }).map(String);
  for (const kind of [/\.jsonl$/, /\.safetensors$/, /\.log$/, /report\.html$/]) expect(names.some((name) => kind.test(name))).toBe(true);
  for (const name of ['runs', 'events.jsonl']) expect(loose(join(folder, name))).toEqual([]);
});

test('a run that goes on hides what an older version had left open', async () => {
  const path = join(folder, 'runs/one/summary.json');
  chmodSync(path, 0o644);
  const { code, stderr } = await run(['simulate', '--resume', 'runs/one'], folder);
  expect(code, stderr).toBe(0);
  expect(loose(path)).toEqual([]);
});

test('a model that is converted to be handed on has the modes that the user wants', async () => {
  const { code, stderr } = await run(['quantize', 'runs/one/model', 'shared', '--codec', 'u4'], folder);
  expect(code, stderr).toBe(0);
  expect(loose(join(folder, 'shared'))).toContain('shared/model.safetensors 644');
});
