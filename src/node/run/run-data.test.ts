// Data for trainers of the sites' own: rows of any shape go through unread, other files as they are.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { parseJob } from '../../kit/kit.js';
import { loadRunData, prepareRun, siteData } from './prepare-run.js';

const folder = mkdtempSync(join(tmpdir(), 'fedstream-run-data-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const job = (data: object) => parseJob({ sites: 2, trainer: { name: 'own' }, validationFraction: 0, data }, 'job.json');

test('rows of one file are shared out as they stand in it', async () => {
  const rows = ['{"x": 1.0, "big": 12345678901234567890}', '{"image": [1, 2]}', '"text"', '{not json'];
  const shared = job({ path: file('odd.jsonl', `${rows.join('\n')}\n`) });
  const run = join(folder, 'run');
  await prepareRun(shared, run, await loadRunData(shared));
  const texts = ['site-1', 'site-2'].flatMap((site) =>
    readFileSync(siteData(run, shared, site), 'utf8')
      .trim()
      .split('\n'),
  );
  expect(texts.sort()).toEqual([...rows].sort());
});

test('a file without rows is its site’s own, and cannot be shared out', async () => {
  const bytes = file('images.zip', Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(60)]));
  const own = job({ files: { a: bytes, b: bytes } });
  const run = join(folder, 'own');
  await prepareRun(own, run, await loadRunData(own));
  expect(siteData(run, own, 'a')).toBe(bytes);
  await expect(loadRunData(job({ path: bytes }))).rejects.toThrow(/images\.zip has no rows that can be shared out.*"files": \{"site-1"/);
});
