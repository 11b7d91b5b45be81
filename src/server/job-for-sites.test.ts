// A site gets what it works by, and neither other sites' names nor paths of the server.
import { expect, test } from 'vitest';
import { parseJob } from '../kit/kit.js';
import { jobForSites } from './job-for-sites.js';

const job = parseJob(
  {
    name: 'chest-x-ray',
    rounds: 7,
    sites: ['hospital-a', 'hospital-b'],
    quorum: 1,
    model: { path: '/srv/models/secret' },
    data: { path: '/srv/data/patients.jsonl' },
  },
  'test',
);

test('nothing of it names a site, a file or a path of the server', () => {
  const text = JSON.stringify(jobForSites(job));
  expect(text).not.toMatch(/hospital|srv|jsonl|secret|quorum|data/);
  expect(JSON.stringify(jobForSites(parseJob({ data: { files: { 'hospital-a': '/srv/a.jsonl' } } }, 'test')))).not.toMatch(/hospital|srv/);
});

test('a site reads it as a job, with all that it works by', () => {
  const read = parseJob(jobForSites(job), 'test');
  const { name, rounds, seed, train, quantize, idleMs, streaming, validationSamples } = job;
  expect(read).toMatchObject({
    name,
    rounds,
    seed,
    train,
    quantize,
    idleMs,
    streaming,
    validationSamples,
    sites: 2,
    model: { path: 'model' },
  });
});

test('a relay is refused where products of adapters are averaged, and sites are told how', () => {
  const job = (lora: 'exact' | 'svd' | 'ffa') => parseJob({ lora }, 'test');
  expect(() => jobForSites(job('exact'), true)).toThrow(/a relay cannot pass on as one/);
  expect(() => jobForSites(job('svd'), true)).toThrow(/a relay cannot pass on as one/);
  expect(jobForSites(job('ffa'), true)).toMatchObject({ lora: 'ffa' });
  expect(jobForSites(job('svd'))).toMatchObject({ lora: 'svd' });
});
