// The budget of one site, with a clock of the test's own.
import { expect, test, vi } from 'vitest';
import { BUDGETS } from '../../src/core/budgets.js';
import { silentLogger } from '../../src/core/log.js';
import type { Task } from '../../src/exchange/task.js';
import { parseJob } from '../../src/kit/kit.js';
import type { EventBody } from '../../src/record/events.js';
import { SiteBudget } from '../../src/server/site-budget.js';

const task = (id: string): Task => ({ id, kind: 'train', round: 1, rounds: 1, evaluate: false });
const steps = (from: number, count: number) => Array.from({ length: count }, (_, i) => ({ step: from + i }));

function budget(job: object = {}) {
  const events: EventBody[] = [];
  const clock = { ms: 0 };
  const emit = (event: EventBody): void => void events.push(event);
  const made = new SiteBudget({ site: 'mallory', job: parseJob(job, 'test'), emit, log: silentLogger, now: () => clock.ms });
  return { made, events, clock };
}

test('budget stepsTimesAsked, budget stepRate, budget leftOut: further steps are left out and told once, and at last the session ends', () => {
  const { made, events, clock } = budget({ train: { localSteps: 2_000 } });
  expect(made.steps(task('t'), steps(1, 10_500)).recorded).toHaveLength(10_000);
  clock.ms = 2_000;
  expect(made.steps(task('t'), steps(10_501, 5_000)).recorded).toHaveLength(2_000);
  clock.ms = 3_600_000;
  expect(made.steps(task('t'), steps(20_000, 9_000)).recorded).toHaveLength(8_000);
  expect(made.steps(task('t'), steps(40_000, 256)).recorded).toHaveLength(0);
  expect(events).toEqual([
    { type: 'warning', message: 'mallory reports more steps in t than its budget; further ones are left out of the record' },
  ]);
  expect(() => made.steps(task('t'), steps(50_000, BUDGETS.leftOut.limit))).toThrow(/mallory reports too much: more than 100000 steps/);
  expect(made.steps(task('next'), steps(1, 60)).recorded).toHaveLength(60);
});

test('budget stepsOfTask: where the job leaves the number of steps to the site', () => {
  for (const job of [{ train: { localEpochs: 1 } }, { trainer: { name: 'hf-sft' } }]) {
    const { made, clock } = budget(job);
    made.steps(task('t'), []);
    clock.ms = 10 * 3_600_000;
    let recorded = 0;
    for (let i = 0; i < 1_001; i++) recorded += made.steps(task('t'), steps(1 + 1_000 * i, 1_000)).recorded.length;
    expect(recorded).toBe(BUDGETS.stepsOfTask.limit);
  }
});

test('a long run of honest steps loses none of them', () => {
  const { made, events, clock } = budget({ train: { localSteps: 5_000 } });
  for (let round = 1; round <= 20; round++) {
    for (let i = 0; i < 5_000; i += 50) {
      clock.ms += 100;
      expect(made.steps(task(`r${round}`), steps(round * 5_000 + i, 50))).toMatchObject({ recorded: { length: 50 }, advances: true });
    }
  }
  expect(events).toEqual([]);
});

test('steps that were there before are no advance, until a new session begins them again', () => {
  const { made } = budget();
  expect(made.steps(task('t'), steps(1, 5)).advances).toBe(true);
  expect(made.steps(task('t'), steps(1, 5)).advances).toBe(false);
  expect(made.steps(task('t'), steps(6, 1)).advances).toBe(true);
  made.connected();
  expect(made.steps(task('t'), steps(1, 1)).advances).toBe(true);
});

test('bytes are an advance only where they had not moved before', () => {
  const { made } = budget();
  const moves = [1, 2, 2, 1, 3].map((offset) => made.reaches(task('t'), 'whole-1', offset));
  expect(moves).toEqual([true, true, false, false, true]);
  expect(made.reaches(task('t'), 'result', 1)).toBe(true);
  expect(made.reaches(task('u'), 'whole-1', 1)).toBe(true);
});

test('budget memoryLines: so many memory events a minute', () => {
  const { made, clock } = budget();
  expect(Array.from({ length: 500 }, () => made.memory()).filter(Boolean)).toHaveLength(BUDGETS.memoryLines.limit);
  clock.ms = 30_000;
  expect(Array.from({ length: 500 }, () => made.memory()).filter(Boolean)).toHaveLength(BUDGETS.memoryLines.limit / 2);
});

test('budget transferLines: further transfers of a task are left out and told once', () => {
  const { made, events } = budget();
  const told = Array.from({ length: 3_000 }, () => made.transfer()).filter(Boolean);
  expect(told).toHaveLength(BUDGETS.transferLines.limit);
  expect(events).toHaveLength(1);
});

test('budget reportRate, budget reportsWaiting: a report beyond the rate waits, and too many that wait are an error', async () => {
  vi.useFakeTimers();
  try {
    const { made } = budget();
    for (let i = 0; i < 10 * BUDGETS.reportRate.limit; i++) await made.report();
    const waiting = Array.from({ length: BUDGETS.reportsWaiting.limit }, () => made.report());
    await expect(made.report()).rejects.toThrow('mallory reports too much: 32 progress reports wait for their answers');
    await vi.advanceTimersByTimeAsync(1_000);
    await Promise.all(waiting);
  } finally {
    vi.useRealTimers();
  }
});
