// Reports of a task while the server is away: one waits, whatever the heart does, and no step is lost.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FedStreamError } from '../core/errors.js';
import type { Task } from '../exchange/task.js';
import type { ServerLink } from './server-link.js';
import { StepReports } from './step-reports.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const step = (number: number) => ({ step: number, loss: 1, learningRate: 1, tokens: 1 });

/** Reports over a link whose server is away until `back` is called. */
function reporting() {
  const sent: number[][] = [];
  let calls = 0;
  let back: (error?: FedStreamError) => void = () => {};
  let gate: Promise<void> = new Promise((resolve, reject) => {
    back = (error) => (error ? reject(error) : resolve());
  });
  const link = {
    async progress({ steps }: { steps: readonly { step: number }[] }) {
      calls++;
      await gate;
      gate = Promise.resolve();
      sent.push(steps.map((report) => report.step));
    },
  } as unknown as ServerLink;
  const reports = new StepReports({ id: 't' } as Task, { site: 'a', link, memory: () => ({ rssBytes: 1, peakRssBytes: 1 }) });
  return { reports, sent, back: (error?: FedStreamError) => back(error), calls: () => calls };
}

test('an hour of heartbeats and steps without a server is one report that waits', async () => {
  const { reports, sent, back, calls } = reporting();
  for (let number = 1; number <= 600; number++) {
    reports.onStep(step(number));
    await vi.advanceTimersByTimeAsync(6_000);
  }
  expect(calls()).toBe(1);
  back();
  await reports.flush();
  expect(sent.flat()).toEqual(Array.from({ length: 600 }, (_, i) => i + 1));
  expect(calls()).toBeLessThan(6);
  reports.close();
  expect(vi.getTimerCount()).toBe(0);
});

test('after a failure nothing is reported any more, and the flush says why', async () => {
  const { reports, back, calls } = reporting();
  reports.onStep(step(1));
  await vi.advanceTimersByTimeAsync(10_000);
  const failure = new FedStreamError('closed', 'the server was looked for in vain');
  back(failure);
  await expect(reports.flush()).rejects.toBe(failure);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(calls()).toBe(1);
  expect(vi.getTimerCount()).toBe(0);
});

test('a flush during the last report sends what came meanwhile', async () => {
  const { reports, sent, back } = reporting();
  reports.onStep(step(1));
  await vi.advanceTimersByTimeAsync(1);
  reports.onStep(step(2));
  const flushed = reports.flush();
  back();
  await flushed;
  expect(sent.flat()).toEqual([1, 2]);
  reports.close();
});
