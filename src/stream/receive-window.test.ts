// The window follows a simulated path: it fills it, and no more.
import { expect, test } from 'vitest';
import { LEAF_BYTES } from './leaf-sums.js';
import { MAX_WINDOW_BYTES, ReceiveWindow } from './receive-window.js';

/** A sender that is limited by the window and by the link; returns the window after so many seconds. */
function follow(bytesPerSecond: number, roundTripMs: number, seconds: number): number {
  let nowMs = 0;
  const window = new ReceiveWindow(
    undefined,
    () => roundTripMs,
    () => nowMs,
  );
  while (nowMs < seconds * 1000) {
    const rate = Math.min(bytesPerSecond, (window.bytes / roundTripMs) * 1000);
    nowMs += (LEAF_BYTES / rate) * 1000;
    window.took(LEAF_BYTES);
  }
  return window.bytes;
}

test.each([
  ['50 Mbit/s, 200 ms', 6.25e6, 200],
  ['100 Mbit/s, 200 ms', 12.5e6, 200],
  ['1 Gbit/s, 50 ms', 125e6, 50],
  ['1 Gbit/s, 200 ms', 125e6, 200],
])('%s: at least what the path holds, at most twice that and 25 ms', (_, bytesPerSecond, roundTripMs) => {
  const holds = (bytesPerSecond * roundTripMs) / 1000;
  const window = follow(bytesPerSecond, roundTripMs, 20);
  expect(window).toBeGreaterThanOrEqual(Math.min(holds, MAX_WINDOW_BYTES));
  expect(window).toBeLessThanOrEqual(Math.max(2 * holds + bytesPerSecond * 0.025 + LEAF_BYTES, 2 * LEAF_BYTES));
});

test('a slow path gets two leaves, a path beyond all limits the limit', () => {
  expect(follow(1e6, 1, 20)).toBe(2 * LEAF_BYTES);
  expect(follow(5e9, 500, 20)).toBe(MAX_WINDOW_BYTES);
});

test('a size that is given stays, and so does any while no round trip is known', () => {
  let nowMs = 0;
  const given = new ReceiveWindow(
    4 * LEAF_BYTES,
    () => 10,
    () => nowMs,
  );
  const unknown = new ReceiveWindow(
    undefined,
    () => undefined,
    () => nowMs,
  );
  for (; nowMs < 5_000; nowMs += 100) for (const window of [given, unknown]) window.took(LEAF_BYTES);
  expect(given.bytes).toBe(4 * LEAF_BYTES);
  expect(unknown.bytes).toBe(8 * LEAF_BYTES);
  expect(new ReceiveWindow(1, () => 1).bytes).toBe(2 * LEAF_BYTES);
});
