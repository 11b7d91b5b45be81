import { expect, test } from 'vitest';
import { FAMILIES, isRight } from './families.js';
import { generateTasks, splitByFamily } from './generate-tasks.js';

const tasks = generateTasks(17, 900);
test('generated tasks: no prompt twice, every family there, answers that their own check takes', () => {
  expect(new Set(tasks.map(({ prompt }) => prompt)).size).toBe(tasks.length);
  expect(new Set(tasks.map(({ category }) => category))).toEqual(new Set(FAMILIES.map(({ name }) => name)));
  expect(FAMILIES.length).toBeGreaterThanOrEqual(6);
  for (const task of tasks) expect(isRight(task, ` ${task.answer}`)).toBe(true);
  expect(isRight(tasks[0] as (typeof tasks)[number], 'certainly not')).toBe(false);
  expect(generateTasks(17, 900)).toEqual(tasks);
});

test.each([1, 2, 3, 7, 20])('%i sites get tasks of their own kinds, all of them', (count) => {
  const sites = Array.from({ length: count }, (_, i) => `s${i}`);
  const parts = splitByFamily(tasks, sites, 1);
  expect([...parts.values()].flat()).toHaveLength(tasks.length);
  for (const part of parts.values()) expect(part.length).toBeGreaterThan(0);
  if (count === 1) expect(parts.get('s0')).toEqual(tasks);
});
