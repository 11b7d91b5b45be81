// Federated statistics: each site tells counts of its data if its owner allows it, and hostile ones
// are refused.
import { expect, test } from 'vitest';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { BUDGETS } from '../../src/core/budgets.js';
import { silentLogger } from '../../src/core/log.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import { memory } from '../../src/driver/memory.js';
import { resultFigures } from '../../src/exchange/result-figures.js';
import { runServer } from '../../src/hub/server.js';
import type { JobInput } from '../../src/job/job.js';
import { parseJob } from '../../src/kit/kit.js';
import type { EventBody, EventOf } from '../../src/record/events.js';
import { writeGlobalModel } from '../../src/server/global-models.js';
import { runClient } from '../../src/site/client.js';
import type { SiteShare } from '../../src/site/share.js';
import { siteLink } from '../../src/site/site-link.js';
import { TextCounts } from '../../src/trainer/data/text-counts.js';
import type { StatisticsWish } from '../../src/trainer/statistics.js';
import type { Trainer } from '../../src/trainer/trainer.js';
import { modelOf, someValues, trainerOf } from './scripted.js';

interface Site {
  readonly texts?: readonly string[];
  readonly share?: Partial<SiteShare>;
  /** Replaces what the site tells. */
  readonly told?: unknown;
  readonly wishes?: StatisticsWish[];
}

function trainerFor({ texts, told, wishes = [] }: Site): Trainer {
  const plain = trainerOf({ learn: (given) => given });
  if (!texts && told === undefined) return plain;
  const counts = new TextCounts();
  for (const answer of texts ?? []) counts.add({ prompt: '', answer, category: String(answer.length) });
  const statistics: Trainer['statistics'] = async (wish) => {
    wishes.push(wish);
    return (told as never) ?? counts.statistics(wish, []);
  };
  return { ...plain, statistics };
}

async function tell(input: JobInput, sites: Readonly<Record<string, Site>>) {
  const job = parseJob({ rounds: 1, sites: Object.keys(sites), idleMs: 2000, ...input }, 'test');
  const run = memoryFolder('run');
  await writeGlobalModel(run, 0, modelOf(someValues(1), 'F32'));
  const events: EventBody[] = [];
  const common = {
    codecs: referenceCodecs,
    log: silentLogger,
    driver: memory(),
    url: 'memory://server',
    signal: new AbortController().signal,
  };
  const clients: Promise<string>[] = [];
  const onListening = (): void => {
    for (const [site, scripted] of Object.entries(sites)) {
      const folder = memoryFolder(site);
      const share = { errors: false, steps: true, ...scripted.share };
      const link = siteLink({ ...common, site, folder, share, retryMs: 500 });
      const client = { ...common, site, link, folder, policy: { filters: [], share }, memory: () => ({ rssBytes: 1, peakRssBytes: 2 }) };
      const ended = runClient({ ...client, makeTrainer: async () => trainerFor(scripted) }).finally(() => link.close());
      ended.catch(() => {});
      clients.push(ended);
    }
  };
  const emit = (event: EventBody): void => {
    events.push(event);
  };
  const result = await runServer({ ...common, listeners: [common], job, run, files: {}, emit, onListening });
  await Promise.allSettled(clients);
  return { result, told: events.filter((event): event is EventOf<'statistics'> => event.type === 'statistics') };
}

const long = (count: number, length: number): string[] => Array.from({ length: count }, () => 'x'.repeat(length));
const ALLOWED = { statistics: true } as const;

test('each site tells its counts, and the run has those of all', async () => {
  const sites = { a: { texts: [...long(20, 3), ...long(15, 9)], share: ALLOWED }, b: { texts: long(12, 3), share: ALLOWED } };
  const { told, result } = await tell({ workflow: 'statistics' }, sites);
  expect(result.reason).toBe('2 of 2 sites have told the statistics of their data');
  expect(told.map(({ site, statistics }) => [site, statistics?.samples, statistics?.characters?.sum])).toEqual([
    ['a', 35, 195],
    ['b', 12, 36],
    [undefined, 47, 231],
  ]);
  expect(told[2]?.statistics?.categories).toEqual({
    bins: [
      { name: '3', count: 32 },
      { name: '9', count: 15 },
    ],
    other: 0,
  });
});

test('the owner decides whether, and on the least number; the larger one holds', async () => {
  const wishes: StatisticsWish[] = [];
  const sites = {
    a: { texts: long(30, 3) },
    b: { texts: long(30, 3), share: { statistics: { leastCount: 25 } }, wishes },
    c: { texts: long(30, 3), share: { statistics: { leastCount: 40 } } },
    d: { share: ALLOWED },
    e: { texts: long(30, 3), share: { statistics: false } },
  };
  const { told } = await tell({ workflow: { type: 'statistics', leastCount: 5, tokens: 7, categories: false } }, sites);
  expect(wishes).toEqual([{ leastCount: 25, tokens: 7, categories: false }]);
  expect(told).toEqual([
    { type: 'statistics', site: 'a', reason: "its owner's rule share.statistics does not allow it" },
    { type: 'statistics', site: 'b', statistics: expect.objectContaining({ samples: 30, leastCount: 25 }) },
    { type: 'statistics', site: 'c', reason: 'it has fewer than 40 samples' },
    { type: 'statistics', site: 'd', reason: 'the trainer here tells no statistics of its data' },
    { type: 'statistics', site: 'e', reason: "its owner's rule share.statistics does not allow it" },
    { type: 'statistics', statistics: expect.objectContaining({ samples: 30 }) },
  ]);
});

const fine = { leastCount: 1, samples: 10 };
const bin = { name: 'x', count: 1 };

test.each([
  [
    'too many bins (budget statisticsBins)',
    { ...fine, categories: { bins: Array.from({ length: BUDGETS.statisticsBins.limit + 1 }, () => bin), other: 0 } },
  ],
  ['a name that moves the cursor', { ...fine, categories: { bins: [{ name: '\u001b[2J', count: 1 }], other: 0 } }],
  ['a name that is too long', { ...fine, categories: { bins: [{ name: 'x'.repeat(65), count: 1 }], other: 0 } }],
  ['a count that is none', { ...fine, samples: -1 }],
  ['more samples than there are', { ...fine, samples: 1e15 }],
  [
    'ranges that overlap',
    {
      ...fine,
      characters: {
        count: 2,
        sum: 2,
        sumOfSquares: 2,
        bins: [
          { from: 0, to: 4, count: 1 },
          { from: 2, to: 8, count: 1 },
        ],
      },
    },
  ],
  ['a sum beyond all numbers', { ...fine, characters: { count: 2, sum: 1e300, sumOfSquares: 2, bins: [] } }],
  ['fields of its own', { ...fine, more: 1 }],
])('statistics with %s leave no site, and are taken by no server', async (_, told) => {
  const { told: found } = await tell(
    { workflow: 'statistics' },
    { a: { told, share: ALLOWED }, b: { texts: long(10, 3), share: ALLOWED } },
  );
  expect(found[0]?.statistics).toBeUndefined();
  expect(found[0]?.reason).toMatch(/./);
  expect(found[1]?.statistics?.samples).toBe(10);
  const result = { task: 't', samples: 1, steps: 0, trainLoss: 0, counts: {}, statistics: told };
  expect(() => resultFigures(result, 'a')).toThrow(
    expect.objectContaining({ code: 'limit', message: expect.stringContaining('statistics') }),
  );
});
