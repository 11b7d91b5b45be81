// What earlier runs left is named, never used, and bounded.
import { expect, test } from 'vitest';
import { BUDGETS } from '../core/budgets.js';
import type { LogFields } from '../core/log.js';
import { silentLogger } from '../core/log.js';
import { memoryFolder } from '../core/memory-folder.js';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import type { Task } from '../exchange/task.js';
import { earlierBytes, enterRun } from './earlier-runs.js';
import { keepResult, keptResult } from './kept-result.js';
import { folderOfRun, nameOfRun, runsIn } from './run-place.js';

const at = (minute: number) => () => new Date(Date.UTC(2026, 0, 1, 10, minute));

async function enter(folder: Folder, run: string, minute: number, more: { mostBytes?: number; inUse?: (name: string) => boolean } = {}) {
  const said: string[] = [];
  const log = { ...silentLogger, warn: (_: LogFields, message: string) => said.push(message) };
  await enterRun(folder, { run, job: 'lungs' }, { log, now: at(minute), ...more });
  return said;
}

/** A run that has joined and left a held model of 1,000 bytes. */
async function left(folder: Folder, run: string, minute: number): Promise<void> {
  await enter(folder, run, minute);
  await writeText(folderOfRun(folder, run), 'held/model', 'x'.repeat(1000));
}

test('the first run of a folder says nothing; the next names what the first has left', async () => {
  const folder = memoryFolder('work');
  expect(await enter(folder, 'one', 1)).toEqual([]);
  await writeText(folderOfRun(folder, 'one'), 'held/model', 'x'.repeat(1000));
  const bytes = await earlierBytes(folder, nameOfRun('two'));
  expect(await enter(folder, 'two', 2)).toEqual([
    `work has what run-one (job "lungs", joined 2026-01-01 10:01) left (${(bytes / 1000).toPrecision(3)} kB): it is not used; remove what you do not need`,
  ]);
  expect(await folderOfRun(folder, 'one').list()).toEqual(['held', 'run.json']);
  expect(await enter(folder, 'one', 3)).toEqual([expect.stringMatching(/^work has what run-two /)]);
});

test('of more runs than are kept, the one joined longest ago goes, and that is said (budget earlierRuns)', async () => {
  const folder = memoryFolder('work');
  const most = BUDGETS.earlierRuns.limit;
  for (let i = 0; i <= most; i++) await left(folder, `old-${i}`, i);
  await left(folder, 'old-0', 30); // it was joined again
  const said = await enter(folder, 'new', 40);
  expect(said[0]).toMatch(/^what run-old-1 \(job "lungs", joined 2026-01-01 10:01\) had left here was removed \(1\.\d+ kB\)/);
  expect(await runsIn(folder)).toEqual(['run-new', ...[0, 2, 3].map((i) => `run-old-${i}`)]);
  expect(said).toHaveLength(2);
});

test('what a trainer keeps for itself is not removed', async () => {
  const folder = memoryFolder('work');
  await left(folder, 'old', 1);
  await writeText(folderOfRun(folder, 'old'), 'trainer/best.bin', 'weights');
  const said = await enter(folder, 'new', 2, { mostBytes: 10 });
  expect(said).toEqual([expect.stringMatching(/^what run-old .* was removed .*, but for the folder of its trainer$/)]);
  expect(await folderOfRun(folder, 'old').list()).toEqual(['trainer']);
  expect(await enter(folder, 'new', 3, { mostBytes: 10 })).toEqual([]);
});

test('earlier runs may take so much of the disk together', async () => {
  const folder = memoryFolder('work');
  for (const [minute, run] of ['one', 'two'].entries()) await left(folder, run, minute);
  await enter(folder, 'new', 9, { mostBytes: 1500 });
  expect(await runsIn(folder)).toEqual(['run-new', 'run-two']);
});

test('a run of another process is no earlier one', async () => {
  const folder = memoryFolder('work');
  await left(folder, 'live', 1);
  expect(await enter(folder, 'new', 2, { mostBytes: 1, inUse: (name) => name === 'run-live' })).toEqual([]);
  expect(await runsIn(folder)).toEqual(['run-live', 'run-new']);
});

test('what versions before kept in the folder itself is named', async () => {
  const folder = memoryFolder('work');
  for (const name of ['held/held.json', 'optimizer-3.safetensors', 'repeats.json', 'client.log', 'my-own.jsonl'])
    await writeText(folder, name, '{}');
  expect(await enter(folder, 'new', 1)).toEqual([
    'work has held, optimizer-3.safetensors, repeats.json of an earlier version: it is not used; remove it',
  ]);
});

test.each([
  ['8e6ab1e0-0f6b-4f3c-9f0c-2f6f5d8f6a11', 'run-8e6ab1e0-0f6b-4f3c-9f0c-2f6f5d8f6a11'],
  ['Lungs', 'run-_4c756e6773'],
  ['lungs', 'run-lungs'],
  ['../../etc', 'run-_2e2e2f2e2e2f657463'],
  ['a b', 'run-_612062'],
])('the run %j has the folder %s', (run, name) => {
  expect(nameOfRun(run)).toBe(name);
});

test('an initial model that one run was about to send is not sent to another', async () => {
  const folder = memoryFolder('work');
  const task = { id: 'offer-0-a', kind: 'offer', round: 0, rounds: 3, evaluate: false } as Task;
  const figures = { task: task.id, samples: 1, steps: 0, trainLoss: 0, counts: {} };
  await writeText(folderOfRun(folder, 'one'), 'result.spool', 'x');
  await keepResult(folderOfRun(folder, 'one'), task, figures, '0'.repeat(32));
  expect(await keptResult(folderOfRun(folder, 'two'), task)).toBeUndefined();
});
