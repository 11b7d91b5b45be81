// The figures of a relay are those of its sites together, as one site has them.
import { expect, test } from 'vitest';
import { BUDGETS } from '../core/budgets.js';
import type { ResultFigures, Task } from '../exchange/task.js';
import { checkedJob } from '../job/job.js';
import { memoryStateDict } from '../tensor/memory-state-dict.js';
import type { Federation, Outcome } from '../workflow/federation.js';
import { figuresBelow } from './reduced.js';

const job = { ...checkedJob({}, 'test'), weights: { type: 'samples', share: 1, times: 100 } } as const;
const task = { id: 'train-1-north' } as Task;
const model = memoryStateDict([{ name: 'w', dtype: 'F32', shape: [1], data: new Uint8Array(4) }]);

function done(site: string, figures: Partial<ResultFigures>): Outcome {
  const all = { task: `train-1-${site}`, samples: 1, steps: 1, trainLoss: 1, counts: {}, ...figures };
  return { site, status: 'done', reply: { site, figures: all, model, isUpdate: true, extras: {} } };
}

const below = (outcomes: readonly Outcome[]) => figuresBelow(task, outcomes, { job } as unknown as Federation);

test('samples are summed, steps, losses and common metrics are the mean by samples, counts the sum', () => {
  const figures = below([
    done('a', { samples: 10, steps: 4, trainLoss: 2, counts: { saturated: 3 }, metrics: { speed: 1, own: 5 } }),
    done('b', { samples: 30, steps: 8, trainLoss: 1, counts: { saturated: 4, other: 1 }, metrics: { speed: 3 } }),
    { site: 'c', status: 'failed', reason: 'it broke' },
  ]);
  expect(figures).toEqual({
    task: 'train-1-north',
    samples: 40,
    steps: 7,
    trainLoss: 1.25,
    evaluation: undefined,
    counts: { saturated: 7, other: 1 },
    metrics: { speed: 2.5 },
  });
});

test('a claim far above the others counts for no more here either, and the sum stays what a site may say', () => {
  expect(below([done('a', { samples: 10 }), done('b', { samples: 10 }), done('liar', { samples: 1e9 })]).samples).toBe(1020);
  const most = BUDGETS.samples.limit;
  expect(below([done('a', { samples: most }), done('b', { samples: most })]).samples).toBe(most);
});

test('the means of sites’ evaluations are weighted by their samples', () => {
  const figures = below([
    done('a', { evaluation: { loss: 1, samples: 10 } }),
    done('b', { evaluation: { loss: 3, samples: 30 } }),
    done('c', {}),
  ]);
  expect(figures.evaluation).toMatchObject({ loss: 2.5, samples: 40 });
});
