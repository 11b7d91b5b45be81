// The job below is the job above with the relay's own sites, and waits that leave it time to answer.
import { expect, test } from 'vitest';
import { checkedJob, quorumOf } from '../job/job.js';
import { jobForSites } from '../server/job-for-sites.js';
import { checkOwnSites, jobBelow } from './job-below.js';

const above = checkedJob(
  {
    rounds: 7,
    sites: ['north', 'south'],
    quorum: 1,
    stragglerMs: 60_000,
    roundMs: 100_000,
    graceMs: 10_000,
    integers: 'largest',
    normBound: 4,
    weights: { type: 'samples', share: 0.7, times: 20 },
    quantize: 'lean',
  },
  'test',
);
const joined = checkedJob(jobForSites(above, true), 'test');

test('a relay is told how rounds wait and how results are combined, and no names', () => {
  expect(joined).toMatchObject({ stragglerMs: 60_000, roundMs: 100_000, integers: 'largest', normBound: 4, sites: 2 });
  expect(JSON.stringify(jobForSites(above, true))).not.toMatch(/north|quorum/);
  expect(checkedJob(jobForSites(above), 'test')).toMatchObject({ stragglerMs: 120_000, integers: 'counters' });
  const bySite = { ...above, weights: { type: 'sites', sites: { north: 30, south: 5 } } } as const;
  expect(JSON.stringify(jobForSites(bySite, true))).not.toMatch(/north/);
});

test('its own sites have its names and quorum, half of the waits, and nine tenths of the round', () => {
  const below = jobBelow(joined, { sites: ['b', 'a', 'c'] });
  expect(below).toMatchObject({ sites: ['a', 'b', 'c'], stragglerMs: 30_000, roundMs: 90_000, graceMs: 5_000, rounds: 7, normBound: 4 });
  expect(quorumOf(below)).toBe(2);
  expect(quorumOf(jobBelow(joined, { sites: ['a', 'b', 'c'], quorum: 3 }))).toBe(3);
  expect(jobBelow(checkedJob({}, 'test'), { sites: ['a'] })).toMatchObject({ roundMs: undefined, graceMs: undefined });
});

test('the share of a site is bounded above alone, a single claim here too; numbers by site are of other sites', () => {
  expect(jobBelow(joined, { sites: ['a'] }).weights).toEqual({ type: 'samples', share: 1, times: 20 });
  expect(jobBelow({ ...joined, weights: { type: 'equal' } }, { sites: ['a'] }).weights).toEqual({ type: 'equal' });
  expect(jobBelow({ ...joined, weights: { type: 'sites', sites: { north: 3 } } }, { sites: ['a'] }).weights).toMatchObject({
    type: 'samples',
  });
});

test.each([
  [{ sites: [] }, /a relay has sites of its own; name at least one/],
  [{ sites: ['a', 'b', 'a'] }, /the relay has the site a twice/],
  [{ sites: ['a b'] }, /"a b" cannot name a site/],
  [{ sites: ['a', 'b'], quorum: 3 }, /a quorum of 3 results is asked of 2 sites/],
])('%j is refused before anything is opened', (own, message) => {
  expect(() => checkOwnSites(own)).toThrow(message);
});
