// The field `lora` of a job: what it stands for, and what it cannot be combined with.
import { expect, test } from 'vitest';
import type { JobInput } from '../job/job.js';
import { largestRank, siteRank } from '../job/lora.js';
import { parseJob } from './kit.js';

const job = (more: JobInput) => parseJob({ trainer: { name: 'lora' }, sites: ['a', 'b', 'c'], ...more }, 'test');
const RANKS = { a: 4, b: 8, c: 16 };

test.each<JobInput>([{}, { lora: 'ffa' }, { lora: { type: 'svd', ranks: RANKS } }, { lora: { type: 'exact', stackRank: 8 } }])(
  'a job is checked again without a change: %j',
  (more) => {
    const parsed = job(more);
    expect(parseJob(JSON.parse(JSON.stringify(parsed)), 'test')).toEqual(parsed);
  },
);

test('ffa leaves A out of results, before the job’s own filters', () => {
  const { filters } = job({ lora: 'ffa', filters: { 'result-out': [{ type: 'clip', norm: 1 }] } });
  expect(filters?.['result-out']).toEqual([
    { type: 'exclude', patterns: ['*lora_A*', '*lora_embedding_A*'] },
    { type: 'clip', norm: 1 },
  ]);
});

test('svd with ranks has no error feedback of coding', () => {
  expect(job({ lora: { type: 'svd', ranks: RANKS } }).quantize.feedback).toBe(false);
  expect(job({ lora: 'svd' }).quantize.feedback).toBeUndefined();
});

test('scales of sites are those of their products', () => {
  const { lora } = job({ lora: { type: 'svd', ranks: { a: { rank: 4, alpha: 8 }, b: { rank: 8, alpha: 8 }, c: { rank: 16, alpha: 8 } } } });
  expect(largestRank(lora)).toBe(16);
  expect(siteRank(lora, 'a')).toEqual({ rank: 4, scale: 4 });
  const { lora: root } = job({
    lora: { type: 'svd', rslora: true, ranks: { a: { rank: 4, alpha: 8 }, b: { rank: 4, alpha: 8 }, c: { rank: 16, alpha: 8 } } },
  });
  expect(siteRank(root, 'a')).toEqual({ rank: 4, scale: 2 });
  expect(siteRank(job({}).lora, 'a')).toBeUndefined();
});

test.each<[JobInput, RegExp]>([
  [{ lora: 'mean' as never }, /lora: must be one of factors, ffa, exact, svd/],
  [{ lora: { type: 'svd', ranks: { a: 4, b: 8 } } }, /lora\.ranks: c has no rank/],
  [{ lora: { type: 'svd', ranks: { ...RANKS, d: 1 } } }, /lora\.ranks: d is no site of the job/],
  [{ lora: { type: 'svd', ranks: { ...RANKS, a: { rank: 4, alpha: 8 } } } }, /lora\.ranks: some sites have an alpha and others none/],
  [{ lora: { type: 'ffa', ranks: RANKS } }, /lora\.ranks: ffa needs one rank at all sites/],
  [{ lora: { type: 'exact', ranks: RANKS } }, /lora\.ranks: exact needs one rank at all sites/],
  [{ lora: { type: 'svd', stackRank: 3 } }, /lora\.stackRank: svd has no stack/],
  [{ lora: 'svd', aggregator: 'adam' }, /aggregator: lora svd takes the mean of the products, and adam cannot/],
  [{ lora: 'exact', aggregator: 'momentum' }, /aggregator: lora exact takes the mean/],
  [{ lora: 'svd', workflow: 'scaffold' }, /workflow: lora svd goes with fedAvg, fedProx, cyclic, and the job says scaffold/],
  [{ lora: { type: 'factors', ranks: RANKS }, workflow: 'scaffold' }, /workflow: lora factors with ranks goes with/],
  [{ lora: 'exact', quantize: 'paper' }, /quantize: lora exact is spoiled by coding whole weights/],
  [{ lora: 'ffa', delta: false }, /quantize: lora ffa is spoiled/],
  [{ lora: 'ffa', quantize: { first: 'u4' } }, /quantize\.first: lora ffa never sends A again/],
  [{ lora: { type: 'svd', ranks: RANKS }, quantize: { feedback: true } }, /quantize\.feedback: /],
])('%j is refused', (more, message) => {
  expect(() => job(more)).toThrow(message);
});

test('ffa goes with an optimizer at the server', () => {
  expect(job({ lora: 'ffa', aggregator: 'adam' }).aggregator.type).toBe('adam');
});
