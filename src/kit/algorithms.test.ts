// Algorithms by name: fields that a job leaves out, and what a job may not contradict.
import { expect, test } from 'vitest';
import { ALGORITHMS } from './algorithms.js';
import { builtInKit, kitWith, parseJob } from './kit.js';

test.each(ALGORITHMS.map(({ name }) => name))('%s makes a job that is checked again without a change', (name) => {
  const job = parseJob({ algorithm: name }, 'test');
  expect(job.algorithm).toBe(name);
  expect(parseJob(JSON.parse(JSON.stringify(job)), 'test')).toEqual(job);
});

test('the fields of the job itself win, one by one', () => {
  const kit = kitWith({ algorithms: [{ name: 'mine', summary: 'a trial', job: { rounds: 9, train: { localSteps: 7, batchSize: 3 } } }] });
  const job = parseJob({ algorithm: 'mine', train: { batchSize: 4 } }, 'test', kit);
  expect(job).toMatchObject({ rounds: 9, train: { localSteps: 7, batchSize: 4 } });
});

test('options of the same aggregator are kept', () => {
  const aggregator = { type: 'momentum', momentum: 0.5 };
  expect(parseJob({ algorithm: 'fedAvgM', aggregator }, 'test').aggregator).toMatchObject(aggregator);
});

test('another workflow than that of the algorithm is refused', () => {
  expect(() => parseJob({ algorithm: 'scaffold', workflow: 'fedAvg' }, 'job.json')).toThrow(
    /job.json: workflow: the algorithm scaffold has scaffold, and the job says fedAvg/,
  );
});

test.each([
  ['diloco', { type: 'nesterov', rate: 0.7, momentum: 0.9 }],
  ['mild', { type: 'nesterov', rate: 0.8, momentum: 0.5 }],
  ['fedAdam', { type: 'adam', beta1: 0.9, beta2: 0.99, tau: 1e-3 }],
])('%s steps at the server as its source says', (name, aggregator) => {
  const job = parseJob({ algorithm: name }, 'test');
  expect(job).toMatchObject({ aggregator, train: { optimizerState: 'keep' } });
});

test('an unknown name lists those that there are', () => {
  expect(() => parseJob({ algorithm: 'fedAvgg' }, 'job.json')).toThrow(
    /there is no algorithm "fedAvgg"; the algorithms are cyclic, .*fedAvg, .*scaffold/,
  );
});

test('names are in order', () => {
  const names = builtInKit.algorithms.map(({ name }) => name);
  expect(names).toEqual([...names].sort((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1)));
});
