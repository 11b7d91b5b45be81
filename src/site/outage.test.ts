// How long a server is looked for, how often, and how many lines that makes, by a clock of the test's own.
import { expect, test } from 'vitest';
import { FedStreamError } from '../core/errors.js';
import { silentLogger } from '../core/log.js';
import { Outage } from './outage.js';

const REFUSED = new FedStreamError('closed', 'nobody listens there');

/** Looks for a server that never comes, for at most so many ms; returns the tries and the lines with their times. */
function search(retryMs: number, mostMs = Number.POSITIVE_INFINITY) {
  let nowMs = 0;
  let tries = 0;
  const lines: [atMs: number, line: string][] = [];
  const log = { ...silentLogger, warn: (_: unknown, line: string) => void lines.push([nowMs, line]) };
  const outage = new Outage({ url: 'tcp://here:9000', retryMs, log, now: () => nowMs });
  for (;;) {
    tries++;
    const pauseMs = outage.failed(REFUSED);
    if (pauseMs === undefined || nowMs >= mostMs) return { nowMs, tries, lines, outage };
    nowMs += pauseMs;
  }
}

test('the search lasts as long as it may, to the millisecond, and no longer', () => {
  expect(search(60_000).nowMs).toBe(60_000);
  expect(search(500).nowMs).toBe(500);
  expect(search(0)).toMatchObject({ nowMs: 0, tries: 1, lines: [] });
});

test('pauses grow to 5 s', () => {
  expect(search(600_000).tries).toBeLessThan(130);
  expect(search(600_000).tries).toBeGreaterThan(110);
});

test('a week without a server is a handful of lines, the first one at once, later ones an hour apart', () => {
  const { lines } = search(Number.POSITIVE_INFINITY, 7 * 86_400_000);
  expect(lines[0]).toEqual([0, 'nobody listens there; looking for the server until it is there (--retry)']);
  expect(lines[1]?.[0]).toBeLessThan(40_000);
  expect(lines.length).toBeLessThan(7 * 24 + 12);
  const [before, last] = lines.slice(-2).map(([atMs]) => atMs) as [number, number];
  expect(last - before).toBeGreaterThanOrEqual(3_600_000);
});

test('lines say how long it has been away, and how long it is looked for', () => {
  const { lines, outage } = search(600_000);
  expect(lines.map(([, line]) => line).slice(0, 2)).toEqual([
    'nobody listens there; looking for the server for 10 min (--retry)',
    expect.stringMatching(/^no server at tcp:\/\/here:9000 for 3\d(\.\d)? s: nobody listens there; still looking for 9\.\d min$/),
  ]);
  outage.over();
  expect(lines.at(-1)?.[1]).toBe('the server at tcp://here:9000 is there again, after 10 min');
});
