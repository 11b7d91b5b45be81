// Sites drawn for a round: how many, how often, and the same for the same seed.
import { expect, test } from 'vitest';
import { randomStream } from '../core/random.js';
import { checkedJob, type Job, type JobInput } from '../job/job.js';
import { sampleOf, weightsIn } from './sample.js';

const SITES = ['a', 'b', 'c', 'd', 'e', 'f'];
const jobs = new Map<string, Job>();
const drawn = (input: JobInput, round: number, seed = 5) => {
  const key = JSON.stringify(input);
  const job = jobs.get(key) ?? checkedJob({ sites: SITES, ...input }, 'test');
  jobs.set(key, job);
  return sampleOf(job, SITES, randomStream(seed, 'sample', round));
};
const ROUNDS = Array.from({ length: 600 }, (_, round) => round);

test('without a sample all sites train, and two thirds of them are needed', () => {
  expect(drawn({}, 1)).toEqual({ sites: SITES, quorum: 4 });
});

test('each site is drawn once at most, all as often as others, in the order of names', () => {
  const rounds = ROUNDS.map((round) => drawn({ sample: { sites: 4 } }, round));
  for (const { sites, quorum } of rounds) {
    expect(quorum).toBe(3);
    expect(sites).toEqual([...new Set(sites)].sort());
    expect(sites.length).toBe(4);
  }
  for (const site of SITES) expect(rounds.filter(({ sites }) => sites.includes(site)).length / ROUNDS.length).toBeCloseTo(4 / 6, 1);
});

test('the same seed and round draw the same sites, others draw others', () => {
  const once = ROUNDS.slice(0, 20).map((round) => drawn({ sample: { sites: 2 } }, round).sites.join());
  expect(ROUNDS.slice(0, 20).map((round) => drawn({ sample: { sites: 2 } }, round).sites.join())).toEqual(once);
  expect(ROUNDS.slice(0, 20).map((round) => drawn({ sample: { sites: 2 } }, round, 6).sites.join())).not.toEqual(once);
  expect(new Set(once).size).toBeGreaterThan(5);
});

test('draws by weights are in proportion, and replace the weights of results', () => {
  const weights = { a: 5, b: 1, c: 1, d: 1, e: 1, f: 1 };
  const job = checkedJob({ sites: SITES, weights, sample: { sites: 10, by: 'weights' } }, 'test');
  let a = 0;
  for (const round of ROUNDS) {
    const sample = sampleOf(job, SITES, randomStream(1, 'sample', round));
    const counts = [...(sample.draws as ReadonlyMap<string, number>).values()];
    expect(counts.reduce((sum, one) => sum + one, 0)).toBe(10);
    expect(sample.quorum).toBe(Math.ceil((counts.length * 2) / 3));
    expect(weightsIn(job, sample)).toEqual({ type: 'sites', sites: Object.fromEntries(sample.draws as ReadonlyMap<string, number>) });
    a += sample.draws?.get('a') ?? 0;
  }
  expect(a / ROUNDS.length).toBeCloseTo(5, 0);
});

test('the quorum of the job is one of the sites that are drawn', () => {
  expect(drawn({ sample: { sites: 5 }, quorum: 2 }, 1).quorum).toBe(2);
});
