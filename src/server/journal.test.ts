import { expect, test } from 'vitest';
import { memoryFolder } from '../core/memory-folder.js';
import { readText, writeText } from '../core/storage-text.js';
import { JOURNAL_FILE, readJournal, writeJournal } from './journal.js';

const entry = (round: number) => ({ round, model: `global/round-${round}.safetensors` });

test('rounds are read back in order; a line that a crash cut short does not count', async () => {
  const folder = memoryFolder();
  expect(await readJournal(folder)).toEqual([]);
  const entries = [entry(0), { ...entry(1), evaluation: { loss: 1, exactMatch: 0, samples: 3 } }];
  await writeJournal(folder, entries);
  const text = (await readText(folder, JOURNAL_FILE)) as string;
  await writeText(folder, JOURNAL_FILE, `${text}{"round":2,"mod`);
  expect(await readJournal(folder)).toEqual(entries);
});

test('a damaged line names the file and the line', async () => {
  const folder = memoryFolder();
  await writeText(folder, JOURNAL_FILE, '{"round":-1}\n');
  await expect(readJournal(folder)).rejects.toThrow(/journal\.jsonl line 1/);
});
