// Every algorithm, workflow and aggregator that a job can name stands in the pages.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { builtInKit } from '../../src/kit/kit.js';

const page = (name: string): string => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');

test('each algorithm has a line in the guide', () => {
  const guide = page('guide/algorithms.md');
  const rows = [...guide.matchAll(/^\| (.*?) \|/gm)].flatMap(([, first = '']) => [...first.matchAll(/`(\w+)`/g)].map(([, name]) => name));
  expect(rows).toEqual(expect.arrayContaining(builtInKit.algorithms.map(({ name }) => name)));
});

test.each([
  ['workflow', builtInKit.workflows],
  ['aggregator', builtInKit.aggregators],
])('each %s stands in the page of the job, and in one of its own', (_, table) => {
  const job = page('job.md');
  const explained = page('workflows.md') + page('robust.md');
  for (const { name } of table) {
    expect(job, name).toContain(`\`${name}\``);
    expect(explained, name).toMatch(new RegExp(`\`${name}\`|^### ${name}$`, 'm'));
  }
});
