import { expect, test } from 'vitest';
import { KnownSteps } from './known-steps.js';

test('a step that is sent again is not taken; a later round may begin at an earlier step', () => {
  const steps = new KnownSteps();
  const take = (site: string, round: number, step: number): boolean => steps.take({ type: 'step', site, round, step, loss: 1 });
  expect([take('a', 1, 1), take('a', 1, 2), take('a', 1, 1), take('a', 1, 2), take('b', 1, 1), take('a', 2, 1)]).toEqual([
    true,
    true,
    false,
    false,
    true,
    true,
  ]);
});
