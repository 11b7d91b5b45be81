// A round that sites would hold for ever, on a board with a clock of the test's own.
import { expect, test } from 'vitest';
import type { Task } from '../../src/exchange/task.js';
import { roundLimits } from '../../src/job/job.js';
import { parseJob } from '../../src/kit/kit.js';
import { TaskBoard } from '../../src/server/task-board.js';

const options = { quorum: 2, silenceMs: 60_000, reconnectMs: 60_000, signal: new AbortController().signal };

function task(id: string): Task {
  return { id, kind: 'train', round: 1, rounds: 1, evaluate: false };
}

function result(id: string) {
  return { task: id, samples: 1, steps: 1, trainLoss: 1, counts: {} };
}

/** A board with a clock of the test's own, and a wait that looks at it whenever it is told to. */
function clocked(sites: readonly string[], more: object) {
  const clock = { ms: 0 };
  const board = new TaskBoard(sites, () => clock.ms);
  for (const site of sites) {
    board.connection(site, true);
    board.post(site, task(site));
  }
  const answers = board.answers(sites, { ...options, ...more });
  const at = async (ms: number): Promise<void> => {
    clock.ms = ms;
    board.connection(sites[0] as string, true);
    await new Promise((resolve) => setTimeout(resolve, 0));
  };
  return { board, clock, answers, at };
}

test('budget aliveTimes: a site that only says that it is alive is given up, one that advances is not', async () => {
  const { board, clock, answers, at } = clocked(['a', 'b', 'c'], { quorum: 2, silenceMs: 120_000, aliveMs: 7_200_000 });
  board.done('a', result('a'));
  for (let ms = 0; ms < 7_200_000; ms += 100_000) {
    clock.ms = ms;
    board.progress('b');
    // A step every 100 s is slow, and honest.
    board.advanced('c');
  }
  await at(7_200_000);
  board.done('c', result('c'));
  const [, b, c] = await answers;
  expect(b).toEqual({ site: 'b', status: 'silent', reason: 'said for 7200 s that it is at work, and advanced by no step and no byte' });
  expect(c).toMatchObject({ status: 'done' });
});

test('a site that connects again and again, and asks for its task each time, is no more alive for it', async () => {
  const { board, clock, answers, at } = clocked(['a', 'b'], { quorum: 1, silenceMs: 1_000, aliveMs: 60_000 });
  board.done('a', result('a'));
  for (let ms = 0; ms < 60_000; ms += 500) {
    clock.ms = ms;
    board.connection('b', false);
    board.connection('b', true);
    void board.next('b');
  }
  await at(60_000);
  expect((await answers)[1]).toMatchObject({ site: 'b', status: 'silent' });
});

test('budget graceTimes: the grace period follows the time that the quorum took', async () => {
  const { graceMs } = roundLimits(parseJob({}, 'test'));
  const { board, answers, at } = clocked(['a', 'b', 'c'], { quorum: 2, silenceMs: 1e9, graceMs });
  await at(1_800_000);
  board.done('a', result('a'));
  board.done('b', result('b'));
  await at(1_800_000);
  await at(1_800_000 + 10 * 1_800_000 - 1);
  board.advanced('c');
  await at(1_800_000 + 10 * 1_800_000);
  expect((await answers)[2]).toEqual({ site: 'c', status: 'late', reason: 'had not finished when the grace period was over' });
  expect((graceMs as (ms: number) => number)(1_000)).toBe(3_600_000);
});

test('budget roundTime: a round ends even where every site advances for ever', async () => {
  const { aliveMs, deadlineMs } = roundLimits(parseJob({}, 'test'));
  const { board, clock, answers, at } = clocked(['a', 'b'], { quorum: 1, silenceMs: 1e9, aliveMs, deadlineMs });
  board.done('a', result('a'));
  for (let ms = 0; ms < 72 * 3_600_000; ms += 3_600_000) {
    clock.ms = ms;
    board.advanced('b');
  }
  await at(72 * 3_600_000);
  expect((await answers)[1]).toEqual({ site: 'b', status: 'late', reason: "had not finished when the round's time was up" });
});

test('the limits of a job win over the defaults', () => {
  expect(roundLimits(parseJob({ aliveMs: 100, roundMs: 200, graceMs: 0 }, 'test'))).toEqual({ aliveMs: 100, deadlineMs: 200, graceMs: 0 });
});

test('an error about a thousand failed sites with long reasons stays short', async () => {
  const sites = Array.from({ length: 1_000 }, (_, i) => `site-${i}`);
  const board = new TaskBoard(sites);
  for (const site of sites) board.post(site, task(site));
  const answers = board.answers(sites, { ...options, quorum: 1_000 });
  for (const site of sites) board.fail(site, 'x'.repeat(1_000));
  const error = await answers.catch((caught: Error) => caught);
  expect((error as Error).message).toMatch(/site-0 x{300}…; .*; and 980 more$/);
});
