// The sites of a simulation are shared out among relays, and what cannot be is refused by name.
import { expect, test } from 'vitest';
import { parseJob } from '../kit/kit.js';
import { treeOf } from './simulated-tree.js';

test('sites are shared out in order, as evenly as they go', () => {
  expect(treeOf(parseJob({ sites: 5 }, 'test'), 2)).toEqual({ 'relay-1': ['site-1', 'site-2'], 'relay-2': ['site-3', 'site-4', 'site-5'] });
  expect(treeOf(parseJob({ sites: ['a', 'b'] }, 'test'), 1)).toEqual({ 'relay-1': ['a', 'b'] });
});

test.each([
  [{ sites: 2 }, 3, /--relays 3: the job has 2 sites, and each relay needs one/],
  [{ sites: ['a', 'b'], weights: { a: 1, b: 2 } }, 1, /weights by site, and the sites of its server are the relays/],
  [{ sites: 6, quorum: 4 }, 2, /quorum is 4 results, and the relays give 2/],
  [{ data: { files: { a: 'a.jsonl' } } }, 1, /names a file of data for each site/],
])('%j over %d relays is refused', (job, relays, message) => {
  expect(() => treeOf(parseJob(job, 'test'), relays)).toThrow(message);
});
