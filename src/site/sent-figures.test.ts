import { expect, test } from 'vitest';
import { silentLogger } from '../core/log.js';
import type { ResultFigures } from '../exchange/task.js';
import { checkSentFigures } from './sent-figures.js';

const figures = (more: Partial<ResultFigures> = {}): ResultFigures => ({
  task: 't',
  samples: 1,
  steps: 1,
  trainLoss: 1,
  counts: {},
  ...more,
});

test.each([
  [{ trainLoss: Number.NaN }, 'the training loss of a is NaN: training has diverged; lower train.learningRate'],
  [{ trainLoss: 1e200 }, 'the training loss of a is 1e+200: training has diverged; lower train.learningRate'],
  [
    { evaluation: { loss: Number.POSITIVE_INFINITY, samples: 1 } },
    'the loss of the evaluation of a is Infinity: training has diverged; lower train.learningRate',
  ],
])('diverged training is named where it happened: %o', (more, message) => {
  expect(() => checkSentFigures(figures(more), 'a', silentLogger)).toThrow(message);
});

test('a metric that cannot travel is left out and logged; the result counts without it', () => {
  const lines: string[] = [];
  const log = { ...silentLogger, warn: (_: unknown, message: string) => void lines.push(message) };
  const sent = figures({ metrics: { perplexity: Number.POSITIVE_INFINITY, accuracy: 0.5, huge: 1e101 } });
  checkSentFigures(sent, 'a', log);
  expect(sent.metrics).toEqual({ accuracy: 0.5 });
  expect(lines).toEqual([
    'the metric perplexity is not sent: it is Infinity, or there are too many',
    'the metric huge is not sent: it is 1e+101, or there are too many',
  ]);
});
