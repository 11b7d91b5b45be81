// The steps of several sites are told as those of one: each number once, with the mean loss.
import { expect, test } from 'vitest';
import type { StepReport } from '../trainer/trainer.js';
import { StepsBelow } from './steps-below.js';

test('a step is told when the first site reaches it, with the last losses and all tokens since', () => {
  const told: StepReport[] = [];
  const steps = new StepsBelow((step) => told.push(step));
  const step = (site: string, number: number, loss: number) =>
    steps.take({ type: 'step', site, round: 1, step: number, loss, learningRate: 0.1, tokens: 10 });
  step('a', 1, 4);
  step('b', 1, 2);
  step('b', 2, 1);
  step('a', 2, 3);
  step('a', 3, 3);
  expect(told).toEqual([
    { step: 1, loss: 4, learningRate: 0.1, tokens: 10 },
    { step: 2, loss: 2.5, learningRate: 0.1, tokens: 20 },
    { step: 3, loss: 2, learningRate: 0.1, tokens: 20 },
  ]);
});
