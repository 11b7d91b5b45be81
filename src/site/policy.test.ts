// The policy of a site's owner is logged once, and results that were made under another policy
// never leave the site.
import { expect, test } from 'vitest';
import { z } from 'zod';
import type { Logger } from '../core/log.js';
import { memoryFolder } from '../core/memory-folder.js';
import { writeText } from '../core/storage-text.js';
import type { Filter } from '../filter/filter.js';
import { enforcePolicy, type SitePolicy } from './policy.js';

const same: Filter = { on: 'update', apply: (update) => update };
const table = [
  { name: 'noise', options: z.strictObject({ by: z.number() }), make: () => same },
  { name: 'clamp', options: z.strictObject({}), make: (): Filter => ({ ...same, on: 'model' }) },
];
const policy = (...filters: SitePolicy['filters']): SitePolicy => ({ filters, table });

/**
 * Starts a site with a policy; `kept` tells whether the result of an earlier process is still
 * there.
 */
async function starts(given: SitePolicy | undefined, folder = memoryFolder('site')) {
  const lines: unknown[] = [];
  const log: Logger = {
    debug: () => {},
    info: (fields, message) => lines.push([fields, message]),
    warn: () => {},
    error: () => {},
  };
  await writeText(folder, 'result.json', '{}');
  const filters = await enforcePolicy({ policy: given, folder, log });
  return { filters, lines, folder, kept: (await folder.list()).includes('result.json') };
}

test('the filters are told once; without any nothing is told or written', async () => {
  const { filters, lines } = await starts(policy({ type: 'noise', by: 1 }));
  expect(filters).toEqual([same]);
  expect(lines).toEqual([[{ filters: [{ type: 'noise', by: 1 }] }, "every result passes the filters of the site's owner"]]);
  const none = await starts(undefined);
  expect([none.filters, none.lines, await none.folder.list()]).toEqual([[], [], ['result.json']]);
});

test('a result that was made under another policy is dropped, and made anew', async () => {
  const first = await starts(policy({ type: 'noise', by: 1 }));
  expect(first.kept).toBe(false);
  expect((await starts(policy({ type: 'noise', by: 1 }), first.folder)).kept).toBe(true);
  expect((await starts(policy({ type: 'noise', by: 2 }), first.folder)).kept).toBe(false);
  expect((await starts(undefined, first.folder)).kept).toBe(false);
  expect((await starts(undefined, first.folder)).kept).toBe(true);
});

test.each([
  [{ type: 'nose' }, 'the filters of the site: filters.0: there is no filter "nose"; the filters are noise, clamp'],
  [
    { type: 'clamp' },
    "the filters of the site: filters.0: clamp: a site's own filters work on the update that leaves it; this one works on whole weights",
  ],
])('%j is refused before the site joins', async (choice, message) => {
  await expect(starts(policy(choice))).rejects.toMatchObject({ code: 'bad-argument', message });
});
