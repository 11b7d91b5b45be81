// The parts of a task have bounds, and a task that breaks them is none.
import { expect, test } from 'vitest';
import { BUDGETS } from '../core/budgets.js';
import { taskSchema } from './task.js';

const most = BUDGETS.modelParts.limit;
const model = { whole: { object: 'whole-1', bytes: 8 } };
const task = (parts: object) => ({ id: 'trainPart-1-a', kind: 'trainPart', round: 1, rounds: 2, evaluate: false, parts });
const partsOf = (of: number) => ({ part: of, of, overlap: 1, alpha: 0.5, models: Array.from({ length: of }, () => ({ round: 0, model })) });

test('budget modelParts: a task of more is refused', () => {
  expect(taskSchema.safeParse(task(partsOf(most))).success).toBe(true);
  expect(taskSchema.safeParse(task(partsOf(most + 1))).success).toBe(false);
});

test.each([{ part: 0 }, { overlap: -1 }, { alpha: 1 }, { alpha: -0.1 }, { more: 1 }])('%j is refused', (wrong) => {
  expect(taskSchema.safeParse(task({ ...partsOf(2), ...wrong })).success).toBe(false);
});
