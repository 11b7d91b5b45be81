// Jobs whose rounds may bring too few results for their aggregator.
import { expect, test } from 'vitest';
import { parseJob } from './kit.js';

const krum = { type: 'krum', malicious: 1 };

test.each<[what: string, job: object, message: RegExp]>([
  [
    'the sites',
    { sites: 4, aggregator: krum },
    /job.json: aggregator: "krum" with malicious 1 needs 2 × malicious \+ 3 = 5 results; the job has 4 sites$/,
  ],
  ['the quorum', { sites: 6, aggregator: krum }, /= 5 results; a round of this job may end with 4 of 6: set "quorum" to 5 or more$/],
  [
    'a quorum of its own',
    { sites: 9, quorum: 2, aggregator: 'median' },
    /so at least 3 results; a round of this job may end with 2 of 9: set "quorum" to 3/,
  ],
  [
    'a share',
    { sites: 4, quorum: 4, aggregator: 'trimmedMean' },
    /leaves out 0.2 × results at each end, which is none below 5 results; the job has 4/,
  ],
  [
    'results to keep',
    { sites: 7, quorum: 7, aggregator: { type: 'multiKrum', malicious: 2, keep: 6 } },
    /needs keep \+ malicious = 8 results/,
  ],
  [
    'a part that is averaged',
    { sites: 9, quorum: 9, workflow: 'scaffold', aggregator: 'median' },
    /aggregator: the workflow scaffold averages the control variates itself, which one site can steer, so median would not stand it$/,
  ],
  [
    'steps that sites name',
    { sites: 9, quorum: 9, workflow: 'fedNova', aggregator: 'median' },
    /the workflow fedNova averages the numbers of steps/,
  ],
  [
    'losses that sites name',
    { sites: 9, quorum: 9, workflow: 'qFedAvg', aggregator: 'median' },
    /the workflow qFedAvg averages the losses/,
  ],
  [
    'a clock',
    { sites: 9, quorum: 9, aggregator: 'median', train: { localSeconds: 9 } },
    /train.localSeconds weights updates by the steps that sites name/,
  ],
  [
    'a sample',
    { sites: 9, sample: { sites: 4 }, aggregator: krum },
    /may end with 3 of 9: set "quorum" to 5 or more, and "sample" must draw/,
  ],
  [
    'a sample by weights',
    { sites: ['a', 'b', 'c'], quorum: 3, sample: { sites: 9, by: 'weights' }, weights: { a: 1, b: 1, c: 1 }, aggregator: 'median' },
    /may end with 1 of 3/,
  ],
  ['the workflow', { sites: 9, quorum: 9, workflow: 'cyclic', aggregator: 'median' }, /; the workflow cyclic may bring 1 at a time$/],
])('%s', (_, job, message) => {
  expect(() => parseJob(job, 'job.json')).toThrow(message);
});

test.each([
  { sites: 5, quorum: 5, aggregator: krum },
  { sites: 7, quorum: 7, aggregator: 'bulyan' },
  { sites: 3, quorum: 3, aggregator: { type: 'trimmedMean', trim: 1 } },
  { sites: 5, aggregator: 'geometricMedian' },
  { sites: 3, workflow: 'cyclic' },
])('enough: %j', (job) => expect(parseJob(job, 'job.json').sites).toBe(job.sites));
