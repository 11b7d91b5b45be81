// Generated tasks: right answers, no prompt twice, sites that differ.
import { expect, test } from 'vitest';
import { FAMILIES, isRight } from './families.js';
import { generateTasks, splitByFamily } from './generate-tasks.js';

const tasks = generateTasks(17, 6000);
const of = (family: string) => tasks.filter(({ category }) => category === family);

test('as many as asked, of every family, no prompt twice, the same for one seed', () => {
  expect(tasks).toHaveLength(6000);
  expect(new Set(tasks.map(({ prompt }) => prompt)).size).toBe(6000);
  expect(new Set(tasks.map(({ category }) => category))).toEqual(new Set(FAMILIES.map(({ name }) => name)));
  expect(generateTasks(17, 6000)).toEqual(tasks);
  expect(generateTasks(18, 6000)).not.toEqual(tasks);
  expect(generateTasks(17, 5)).toHaveLength(5);
});

test('a prompt has one right answer', () => {
  for (const family of FAMILIES) expect(of(family.name).length).toBeGreaterThan(0);
  for (const { prompt, answer } of of('larger number')) {
    const [a, b] = prompt.match(/\d+/g) as [string, string];
    expect(answer).toBe(` ${Math.max(Number(a), Number(b))}`);
    expect(a).not.toBe(b);
  }
  for (const { prompt, answer } of of('small sums')) {
    const [a, b] = prompt.match(/\d+/g) as [string, string];
    expect(answer).toBe(` ${Number(a) + Number(b)}`);
  }
});

test('an answer is right with blanks at its ends, and not otherwise', () => {
  const sample = { prompt: 'p', answer: ' Paris' };
  expect(isRight(sample, 'Paris\n')).toBe(true);
  expect(isRight(sample, 'paris')).toBe(false);
  expect(isRight(sample, 'Paris, France')).toBe(false);
});

test('a count beyond what the families hold gives all there is', () => {
  expect(generateTasks(1, 10_000_000 / 100).length).toBeLessThan(100_000);
});

test('sites are mostly at home in families of their own, and nothing is lost', () => {
  for (const count of [1, 2, 3, 5, FAMILIES.length, FAMILIES.length + 3, 40]) {
    const sites = Array.from({ length: count }, (_, i) => `s${i}`);
    const parts = splitByFamily(tasks, sites, 3);
    expect([...parts.keys()]).toEqual(sites);
    expect([...parts.values()].flat()).toHaveLength(tasks.length);
    expect(new Set([...parts.values()].flat()).size).toBe(tasks.length);
    for (const part of parts.values()) expect(part.length).toBeGreaterThan(0);
    expect(splitByFamily(tasks, sites, 3)).toEqual(parts);
  }
  expect(splitByFamily(tasks, ['only'], 3)).toEqual(new Map([['only', tasks]]));
  const parts = [...splitByFamily(tasks, ['a', 'b', 'c'], 3).values()];
  for (const { name } of FAMILIES) {
    const counts = parts.map((part) => part.filter(({ category }) => category === name).length);
    expect(Math.max(...counts) / of(name).length).toBeGreaterThan(0.8);
    expect(Math.min(...counts)).toBeGreaterThan(0);
  }
});

test('too few samples for the sites is an error that says what to do', () => {
  expect(() => splitByFamily(tasks.slice(0, 4), ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'], 3)).toThrow(
    /leave . without any; use fewer sites/,
  );
});
