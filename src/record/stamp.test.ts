import { expect, test } from 'vitest';
import { memoryFolder } from '../core/memory-folder.js';
import { readText, writeText } from '../core/storage-text.js';
import type { EventBody } from './events.js';
import { RUN_ID_FILE, runIdOf } from './run-id.js';
import { stamper } from './stamp.js';

test('run, wall clock and time worked', () => {
  const stamp = stamper('r-1', 1000, { elapsedMs: () => 20.4, now: () => new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 6)) });
  const event = stamp({ type: 'warning', message: 'x' });
  expect(event).toEqual({ type: 'warning', message: 'x', run: 'r-1', time: '2026-01-02T03:04:05.006Z', atMs: 1020 });
});

test('whoever emits cannot set them', () => {
  const stamp = stamper('r-1', 0, { elapsedMs: () => 1, now: () => new Date(0) });
  const forged = { type: 'round-started', round: 1, run: 'other', time: 'never', atMs: -1 } as EventBody;
  expect(stamp(forged)).toEqual({ type: 'round-started', round: 1, run: 'r-1', time: '1970-01-01T00:00:00.000Z', atMs: 1 });
});

test('the id of a run is made once and kept', async () => {
  const folder = memoryFolder();
  const id = await runIdOf(folder);
  expect(id).toMatch(/^[0-9a-f-]{36}$/);
  expect(await runIdOf(folder)).toBe(id);
  expect(await readText(folder, RUN_ID_FILE)).toBe(`${id}\n`);
  expect(await runIdOf(memoryFolder())).not.toBe(id);
  await writeText(folder, RUN_ID_FILE, 'given-before\n');
  expect(await runIdOf(folder)).toBe('given-before');
});
