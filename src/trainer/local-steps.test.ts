// The length of a round by steps, passes, parts of a pass, and the clock.
import { expect, test } from 'vitest';
import { mostSteps, untilSeconds } from './local-steps.js';

test.each([
  [{}, 7],
  [{ localSteps: 3 }, 3],
  [{ localEpochs: 2 }, 14],
  [{ localEpochs: 0.5 }, 4],
  [{ localEpochs: 0.01 }, 1],
  [{ localSteps: 3, localEpochs: 9 }, 3],
])('%j of seven steps a pass', (settings, expected) => {
  expect(mostSteps(settings, 7)).toBe(expected);
});

test('without seconds the clock ends nothing, with them it ends the round', () => {
  let now = 1000;
  expect(untilSeconds({}, () => 1e12)()).toBe(false);
  const isOver = untilSeconds({ localSeconds: 0.5 }, () => now);
  expect(isOver()).toBe(false);
  now = 1499;
  expect(isOver()).toBe(false);
  now = 1500;
  expect(isOver()).toBe(true);
});
