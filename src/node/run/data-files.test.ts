// Data files: reading, writing, and the errors of bad files.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Sample } from '../../trainer/data/sample.js';
import { readDataFile, writeDataFile } from './data-files.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'fedstream-data-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

test('what is written is read again, over many pieces of a file', async () => {
  const samples: Sample[] = Array.from({ length: 3000 }, (_, i) => ({
    prompt: `Frage ${i}: ${'ü😀'.repeat(i % 50)}\n"quoted"`,
    answer: `${i} \u2028 \ud83d`,
    ...(i % 2 ? { category: `kind ${i % 3}` } : {}),
  }));
  const path = join(folder, 'deep', 'er', 'a.jsonl');
  writeDataFile(path, samples);
  expect(await readDataFile(path)).toEqual(samples);
});

test('an array on one line that spans many pieces is read', async () => {
  const items = Array.from({ length: 5000 }, (_, i) => ({ instruction: `Nr ${i} ü`, output: 'x'.repeat(i % 100) || 'y' }));
  const samples = await readDataFile(file('array.json', JSON.stringify(items)));
  expect(samples).toHaveLength(items.length);
  expect(samples[4999]).toEqual({ prompt: 'Nr 4999 ü', answer: 'x'.repeat(99) });
});

test('a byte order mark and a missing last line end are no trouble', async () => {
  expect(await readDataFile(file('bom.jsonl', '\uFEFF{"prompt":"p","completion":"c"}'))).toEqual([{ prompt: 'p', answer: 'c' }]);
});

test('what cannot be read says which file, which line, and why', async () => {
  const good = '{"prompt":"p","completion":"c"}\n';
  await expect(readDataFile(join(folder, 'none.json'))).rejects.toMatchObject({
    code: 'not-found',
    message: expect.stringContaining('none.json'),
  });
  await expect(readDataFile(folder)).rejects.toMatchObject({ code: 'bad-data', message: expect.stringContaining('is not a file') });
  await expect(readDataFile(file('empty.json', ''))).rejects.toMatchObject({
    code: 'bad-data',
    message: expect.stringContaining('has no samples'),
  });
  await expect(readDataFile(join(file('plain', good), 'below'))).rejects.toMatchObject({ code: 'not-found' });
  const latin = Buffer.concat([Buffer.from(good.repeat(5000)), Buffer.from('{"prompt":"\xfc"', 'latin1'), Buffer.from(`\n${good}`)]);
  await expect(readDataFile(file('latin.jsonl', latin))).rejects.toMatchObject({
    code: 'bad-data',
    message: expect.stringMatching(/latin\.jsonl line 5001 is not UTF-8 text/),
  });
  await expect(readDataFile(file('bad.jsonl', `${good.repeat(5000)}{`))).rejects.toThrow(/bad\.jsonl line 5001: not JSON/);
});
