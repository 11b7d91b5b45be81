import { expect, test } from 'vitest';
import { memoryFolder } from '../core/memory-folder.js';
import { readText } from '../core/storage-text.js';
import { FINGERPRINTS_FILE, SiteComparison, type SiteComparisonOptions } from './site-comparison.js';
import { TaskBoard } from './task-board.js';

const { signal } = new AbortController();

function comparisonOf(sites: readonly string[], over: Partial<SiteComparisonOptions> = {}) {
  const board = new TaskBoard(sites);
  for (const site of sites) board.post(site, { id: site, kind: 'train', round: 1, rounds: 1, evaluate: false });
  const run = memoryFolder('run');
  const warnings: string[] = [];
  const warn = (message: string): void => void warnings.push(message);
  const options = { run, board, rules: {}, quorum: sites.length, graceMs: 60_000, own: {}, warn, refused: () => {}, ...over };
  return { board, run, warnings, comparison: new SiteComparison(options) };
}

test('many sites wait for the last one, are looked at together, and are kept as one text', async () => {
  const sites = Array.from({ length: 300 }, (_, i) => `site-${i}`);
  const { board, run, comparison } = comparisonOf(sites);
  let looks = 0;
  const training = board.training.bind(board);
  board.training = () => {
    looks++;
    return training();
  };
  const [last, ...others] = sites as [string, ...string[]];
  let begun = 0;
  const waits = others.map((site) => comparison.tell(site, { alpha: '16', r: '8' }, new AbortController().signal).then(() => begun++));
  await new Promise((resolve) => setTimeout(resolve, 250));
  expect(begun).toBe(0);
  await comparison.tell(last, { r: '8', alpha: '16' }, signal);
  await Promise.all(waits);
  expect(begun).toBe(others.length);
  expect(looks).toBeLessThan(2 * sites.length);
  const kept = JSON.parse((await readText(run, FINGERPRINTS_FILE)) as string);
  expect(kept.told).toEqual([{ alpha: '16', r: '8' }]);
  expect(Object.values(kept.sites)).toEqual(sites.map(() => 0));
});

test('a site that is given up is not waited for, and one that leaves waits no more', async () => {
  const { board, comparison } = comparisonOf(['a', 'b', 'c']);
  const gone = new AbortController();
  const left = comparison.tell('c', {}, gone.signal);
  const waiting = comparison.tell('a', {}, signal);
  gone.abort(new Error('gone'));
  await expect(left).rejects.toThrow('gone');
  board.fail('b', 'on purpose');
  await waiting;
});

test('once a quorum has told, the rest is waited for as long as the grace lasts', async () => {
  const { comparison } = comparisonOf(['a', 'b', 'c'], { quorum: 2, graceMs: 50 });
  await Promise.all([comparison.tell('a', {}, signal), comparison.tell('b', {}, signal)]);
});

test('a site that contradicts another ends the wait of all, each with its own value', async () => {
  const { board, comparison } = comparisonOf(['a', 'b', 'c']);
  const first = comparison.tell('a', { alpha: '16' }, signal);
  first.catch(() => {});
  await expect(comparison.tell('b', { alpha: '32' }, signal)).rejects.toThrow('alpha is "32" here and another value elsewhere');
  await expect(first).rejects.toThrow('alpha is "16" here and another value elsewhere');
  const answers = board.answers(['a'], { quorum: 1, silenceMs: 60_000, reconnectMs: 60_000, signal });
  await expect(answers).rejects.toThrow('alpha is "16" at a and "32" at b');
});

test('a site stays by what it trained with', async () => {
  const told: string[] = [];
  const { comparison } = comparisonOf(['a', 'b'], { refused: (site, message) => told.push(`${site}: ${message}`) });
  await Promise.all([comparison.tell('a', { alpha: '16' }, signal), comparison.tell('b', { alpha: '16' }, signal)]);
  await comparison.tell('a', { alpha: '16' }, signal);
  await expect(comparison.tell('a', { alpha: '8' }, signal)).rejects.toThrow('not trained: alpha is "8" here');
  expect(told).toEqual([
    expect.stringContaining('a: it does not train what this run has trained: alpha is "16" at a before, b and "8" at a'),
  ]);
});
