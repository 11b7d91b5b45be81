import { expect, test } from 'vitest';
import type { Task } from '../exchange/task.js';
import { TaskBoard } from './task-board.js';

const options = { quorum: 2, silenceMs: 60_000, reconnectMs: 60_000, signal: new AbortController().signal };

function task(id: string): Task {
  return { id, kind: 'train', round: 1, rounds: 1, evaluate: false };
}

function result(id: string) {
  return { task: id, samples: 1, steps: 1, trainLoss: 1, counts: {} };
}

test('a site that asks before and one that asks after the post get the same task', async () => {
  const board = new TaskBoard(['a', 'b']);
  const early = board.next('a');
  board.post('a', task('t'));
  expect(await early).toEqual({ task: task('t') });
  expect(await board.next('a')).toEqual({ task: task('t') });
});

test('the round ends with the outcomes in the order of names, whoever answered first', async () => {
  const board = new TaskBoard(['b', 'a']);
  for (const site of ['a', 'b']) board.post(site, task(site));
  const answers = board.answers(['b', 'a'], options);
  board.done('b', result('b'));
  board.done('a', result('a'));
  expect((await answers).map((outcome) => outcome.site)).toEqual(['a', 'b']);
});

test('a silent site is given up and the round completes on quorum', async () => {
  const board = new TaskBoard(['a', 'b', 'c']);
  for (const site of ['a', 'b', 'c']) {
    board.connection(site, true);
    board.post(site, task(site));
  }
  const answers = board.answers(['a', 'b', 'c'], { ...options, silenceMs: 30 });
  board.done('a', result('a'));
  board.done('b', result('b'));
  const outcomes = await answers;
  expect(outcomes.map(({ status }) => status)).toEqual(['done', 'done', 'silent']);
});

test('progress renews the deadline: what is slow is never given up', async () => {
  let nowMs = 0;
  const board = new TaskBoard(['a'], () => nowMs);
  board.connection('a', true);
  board.post('a', task('a'));
  const answers = board.answers(['a'], { ...options, quorum: 1, silenceMs: 100 });
  for (let i = 0; i < 10; i++) {
    nowMs += 90;
    board.progress('a');
  }
  board.done('a', result('a'));
  expect((await answers)[0]).toMatchObject({ status: 'done' });
});

test('so long after the quorum nobody is waited for, and two may wait at once', async () => {
  const board = new TaskBoard(['a', 'b', 'c']);
  for (const site of ['a', 'b', 'c']) {
    board.connection(site, true);
    board.post(site, task(site));
  }
  const some = board.answers(['a', 'b'], { ...options, quorum: 1, graceMs: 20 });
  const other = board.answers(['c'], { ...options, quorum: 0, deadlineMs: 30 });
  board.done('a', result('a'));
  expect((await some).map(({ status }) => status)).toEqual(['done', 'late']);
  expect(await other).toEqual([{ site: 'c', status: 'late', reason: "had not finished when the round's time was up" }]);
  await expect(board.answers(['a', 'b', 'c'], options)).rejects.toThrow(/needs 2 results and can get at most 1 of 3/);
});

test('too few answers end the round at once, with the reasons', async () => {
  const board = new TaskBoard(['a', 'b']);
  for (const site of ['a', 'b']) board.post(site, task(site));
  const answers = board.answers(['a', 'b'], options);
  board.fail('a', 'a NaN in lm_head.weight');
  await expect(answers).rejects.toThrow(/needs 2 results.*a a NaN in lm_head\.weight/);
});

test('a late result of an earlier task is not taken for the open one', () => {
  const board = new TaskBoard(['a']);
  board.post('a', task('round-1'));
  board.done('a', result('round-1'));
  board.post('a', task('round-2'));
  expect(board.open('a', 'round-1')).toBeUndefined();
  expect(board.open('a', 'round-2')).toEqual(task('round-2'));
});

test('an unknown site is refused by name', () => {
  expect(() => new TaskBoard(['a']).next('mallory')).toThrow(/mallory is not a site of this job/);
});

test('stop reaches whoever asks, now and later; an abort ends the wait', async () => {
  const board = new TaskBoard(['a']);
  const asked = board.next('a');
  board.stop('finished');
  expect(await asked).toEqual({ stop: 'finished' });
  expect(await board.next('a')).toEqual({ stop: 'finished' });
  const controller = new AbortController();
  const answers = new TaskBoard(['a']).answers(['a'], { ...options, quorum: 1, signal: controller.signal });
  controller.abort(new Error('Ctrl-C'));
  await expect(answers).rejects.toThrow('Ctrl-C');
});
