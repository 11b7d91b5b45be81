import { expect, test, vi } from 'vitest';
import type { FedStreamError } from '../../core/errors.js';
import type { RunEvent } from '../events.js';
import type { Sink } from './sink.js';
import { SinkGroup } from './sink-group.js';

const event = (round: number): RunEvent => ({ type: 'round-started', round, run: 'r', time: '2026-01-02T03:04:05.000Z', atMs: round });

function collector(): Sink & { readonly rounds: number[]; readonly closed: () => number } {
  const rounds: number[] = [];
  let closed = 0;
  return {
    rounds,
    closed: () => closed,
    emit: (event) => void rounds.push((event as { round: number }).round),
    close: async () => void closed++,
  };
}

function group(sinks: Record<string, Sink>, limitMs = 50) {
  const failures: string[] = [];
  const onFailure = (name: string, { code, message }: FedStreamError): void => void failures.push(`${name} ${code} ${message}`);
  return { failures, group: new SinkGroup(sinks, onFailure, limitMs) };
}

test('a sink that throws is named once, closed, and gets nothing more; the others get everything', async () => {
  const bad = collector();
  const good = collector();
  const emit = vi.fn(() => {
    throw new Error('no room');
  });
  const { group: both, failures } = group({ bad: { ...bad, emit }, good });
  for (const round of [1, 2]) both.emit(event(round));
  await both.close();
  expect(failures).toEqual(['bad internal no room']);
  expect(emit).toHaveBeenCalledTimes(1);
  expect(bad.closed()).toBe(1);
  expect(good.rounds).toEqual([1, 2]);
  expect(good.closed()).toBe(1);
});

test('an event about the failure comes behind the one that failed', () => {
  const good = collector();
  const failing: Sink = { emit: () => Promise.reject(new Error('never seen')), close: async () => {} };
  const throwing: Sink = {
    emit: () => {
      throw new Error('x');
    },
    close: async () => {},
  };
  const both: SinkGroup = new SinkGroup({ throwing, good, failing }, () => both.emit(event(99)));
  both.emit(event(1));
  expect(good.rounds).toEqual([1, 99]);
});

test('an emit that rejects by mistake does not end the process', async () => {
  const { group: one, failures } = group({ async: { emit: () => Promise.reject(new Error('later')), close: async () => {} } });
  one.emit(event(1));
  await vi.waitFor(() => expect(failures).toEqual(['async internal later']));
});

test('a flush that rejects switches the sink off, and close is waited for', async () => {
  const good = collector();
  const { group: both, failures } = group({ bad: { ...collector(), flush: () => Promise.reject(new Error('full')) }, good });
  await both.flush();
  await both.close();
  expect(failures).toEqual(['bad internal full']);
  expect(good.closed()).toBe(1);
});

test('a sink that hangs does not hold up the end', async () => {
  const never = new Promise<void>(() => {});
  const { group: both, failures } = group({
    stuck: { emit: () => {}, flush: () => never, close: () => never },
    slow: { emit: () => {}, close: () => never },
  });
  await both.flush();
  expect(failures).toEqual(['stuck timeout its flush took more than 50 ms']);
  await both.close();
  expect(failures.at(-1)).toBe('slow timeout its close took more than 50 ms');
});

test('a close that throws at once is a failure like others', async () => {
  const close = (): Promise<void> => {
    throw new Error('at once');
  };
  const { group: one, failures } = group({ bad: { emit: () => {}, close } });
  await one.close();
  expect(failures).toEqual(['bad internal at once']);
});
