// The window fills a simulated path and little more, and its chunks are short.
import { expect, test } from 'vitest';
import { randomStream } from '../core/random.js';
import { LEAF_BYTES } from './leaf-sums.js';
import { MAX_WINDOW_BYTES, MIN_WINDOW_BYTES, Path, SMALLEST_CHUNK_BYTES } from './path.js';
import { LARGEST_CHUNK_BYTES, ReceiveWindow } from './receive-window.js';

/**
 * Simulates a sender that is limited by the window, the link and TCP's slow start; returns the
 * window after `seconds`.
 */
function follow(bytesPerSecond: number, roundTripMs: number, seconds: number, path = new Path()): ReceiveWindow {
  let nowMs = 0;
  const window = new ReceiveWindow(path, { roundTripMs: () => roundTripMs, nowMs: () => nowMs });
  while (nowMs < seconds * 1000) {
    const slowStart = 10 * 1500 * 2 ** Math.min(nowMs / roundTripMs, 40);
    const rate = Math.min(bytesPerSecond, (Math.min(window.bytes, slowStart) / roundTripMs) * 1000);
    const chunk = window.chunkBytes;
    nowMs += (chunk / rate) * 1000;
    window.arrived(chunk);
  }
  return window;
}

test.each([
  ['50 Mbit/s, 1 ms', 6.25e6, 1],
  ['50 Mbit/s, 200 ms', 6.25e6, 200],
  ['100 Mbit/s, 200 ms', 12.5e6, 200],
  ['1 Gbit/s, 1 ms', 125e6, 1],
  ['1 Gbit/s, 50 ms', 125e6, 50],
  ['1 Gbit/s, 200 ms', 125e6, 200],
])('%s: at least what the path holds, at most three quarters (in a trial) and 25 ms more', (_, bytesPerSecond, roundTripMs) => {
  const holds = (bytesPerSecond * roundTripMs) / 1000;
  const { bytes, chunkBytes } = follow(bytesPerSecond, roundTripMs, 20);
  expect(bytes).toBeGreaterThanOrEqual(holds);
  expect(bytes).toBeLessThanOrEqual(Math.max(1.75 * holds + bytesPerSecond * 0.025, MIN_WINDOW_BYTES));
  expect(chunkBytes / bytesPerSecond).toBeLessThanOrEqual(0.006);
});

test('a slow path gets the least, a path beyond all limits the most', () => {
  const slow = follow(1e6, 1, 20);
  expect([slow.bytes, slow.chunkBytes]).toEqual([MIN_WINDOW_BYTES, SMALLEST_CHUNK_BYTES]);
  const fast = follow(5e9, 500, 20);
  expect(fast.bytes).toBe(MAX_WINDOW_BYTES);
  expect(follow(5e9, 1, 1).chunkBytes).toBe(LARGEST_CHUNK_BYTES);
});

test.each([
  ['from the beginning', 0],
  ['after some seconds', 5_000],
])('where lost packets hold up what follows for two round trips, %s, the window does not follow the rate down', (_, fromMs) => {
  let nowMs = 0;
  const roundTripMs = 50;
  const window = new ReceiveWindow(new Path(), { roundTripMs: () => roundTripMs, nowMs: () => nowMs });
  let rate = 0;
  while (nowMs < 60_000) {
    const held = nowMs < fromMs ? 1 : 2.4;
    rate = Math.min(125e6, (window.bytes / (held * roundTripMs)) * 1000);
    nowMs += (window.chunkBytes / rate) * 1000;
    window.arrived(window.chunkBytes);
  }
  expect(rate).toBeGreaterThan(0.6 * 125e6);
});

test.each([
  [6.25e6, 50, 1],
  [6.25e6, 200, 7],
  [12.5e6, 50, 42],
  [12.5e6, 50, 1],
  [12.5e6, 200, 7],
  [12.5e6, 200, 42],
])(
  '%i bytes/s, %i ms, where a packet in a hundred is lost and holds up what follows: the window soon holds that, too (seed %i)',
  (bytesPerSecond, roundTripMs, seed) => {
    let nowMs = 0;
    const path = new Path();
    const window = new ReceiveWindow(path, { roundTripMs: () => roundTripMs, nowMs: () => nowMs });
    const packet = 1448;
    const serialMs = packet / (bytesPerSecond / 1000);
    /** How far the sender may go, and since when. */
    const granted = [{ atMs: 0, limit: window.bytes }];
    let [sentMs, sent, delivered] = [0, 0, 0];
    const random = randomStream(seed);
    let [deliveredInTime, sinceMs] = [0, 0];
    while (nowMs < 200 * roundTripMs) {
      while ((granted[0]?.limit ?? 0) < sent + packet) granted.shift();
      sentMs = Math.max(sentMs + serialMs, granted[0]?.atMs ?? 0);
      sent += packet;
      let recoverMs = 0;
      while (random.uniform() < 0.01) recoverMs += 1.5 * roundTripMs;
      nowMs = Math.max(nowMs, sentMs + roundTripMs / 2 + recoverMs);
      delivered += packet;
      window.arrived(packet);
      granted.push({ atMs: nowMs + roundTripMs / 2, limit: delivered + window.bytes });
      if (nowMs < 100 * roundTripMs) [deliveredInTime, sinceMs] = [delivered, nowMs];
    }
    const rate = ((delivered - deliveredInTime) / (nowMs - sinceMs)) * 1000;
    expect(rate / bytesPerSecond).toBeGreaterThan(0.95);
  },
);

test('the next stream begins where the one before ended', () => {
  const path = new Path();
  const { bytes } = follow(125e6, 50, 5, path);
  expect(new ReceiveWindow(path, { roundTripMs: () => 50 }).bytes).toBe(bytes);
  // The path is not taken for one whose rate grows.
  expect(follow(125e6, 50, 0.3, path).bytes).toBeLessThanOrEqual(1.5 * bytes);
});

test('a stream that follows slow start does not begin with the window that led it', () => {
  const path = new Path();
  for (const rate of [10_000, 20_000, 40_000, 80_000, 120_000]) path.grows(rate);
  path.windowBytes = 48 * LEAF_BYTES;
  const next = new ReceiveWindow(path, { roundTripMs: () => 200 });
  expect(next.bytes).toBeGreaterThan(80_000 * 200);
  expect(next.bytes).toBeLessThanOrEqual(120_000 * (1.25 * 200 + 20));
});

test('a stream begins with what the path is known to hold', () => {
  const path = new Path();
  const roundTripMs = (): number => 200;
  expect(new ReceiveWindow(path, { roundTripMs }).firstBytes).toBe(path.windowBytes);
  follow(6.25e6, 200, 20, path);
  const { firstBytes, bytes } = new ReceiveWindow(path, { roundTripMs });
  expect(firstBytes / (6.25e3 * 200)).toBeCloseTo(1, 1);
  expect(bytes).toBeGreaterThanOrEqual(1.25 * firstBytes);
  expect(new ReceiveWindow(path, { roundTripMs, windowBytes: LEAF_BYTES }).firstBytes).toBe(LEAF_BYTES);
  expect(new ReceiveWindow(path, { roundTripMs: () => 0.1 }).firstBytes).toBe(MIN_WINDOW_BYTES);
});

test('one burst is no faster path', () => {
  const path = new Path();
  const { bytes } = follow(12.5e6, 50, 5, path);
  follow(60e6, 50, 0.08, path); // ends with the first interval
  expect(path.windowBytes).toBeLessThanOrEqual(1.4 * bytes);
  expect(follow(60e6, 50, 2, path).bytes).toBeGreaterThan(60e6 * 0.05);
});

test('where control waits behind the window again and again, the window shrinks to what the path holds', () => {
  let nowMs = 0;
  const roundTripMs = 50;
  const path = new Path();
  path.windowBytes = 20 * LEAF_BYTES;
  path.breadth.roundTrips = 5;
  let rate = 12.5e3; // bytes a millisecond
  const window: ReceiveWindow = new ReceiveWindow(path, {
    roundTripMs: () => roundTripMs,
    nowMs: () => nowMs,
    probe: (found) => found(Math.max(roundTripMs, window.bytes / rate)),
  });
  const run = (ms: number): void => {
    for (const untilMs = nowMs + ms; nowMs < untilMs; ) {
      nowMs += window.chunkBytes / rate;
      window.arrived(window.chunkBytes);
    }
  };
  run(10_000);
  expect(window.bytes).toBeGreaterThanOrEqual(50 * rate);
  expect(window.bytes).toBeLessThanOrEqual((2 * roundTripMs + 25) * rate);
  rate /= 4;
  run(10_000);
  expect(window.bytes).toBeLessThanOrEqual((2 * roundTripMs + 25) * rate);
});

test('where the round trip is short, the slack is what shrinks', () => {
  const path = new Path();
  for (let i = 0; i < 6; i++) path.grows(1_000_000);
  const before = path.steadyBytes(1) as number;
  for (let i = 0; i < 20; i++) path.narrow();
  expect(path.steadyBytes(1)).toBeLessThan(before / 2);
  expect(path.steadyBytes(1)).toBeGreaterThan(8 * 1_000_000);
});

test('control that waits once does not shrink the window', () => {
  const path = new Path();
  path.grows(1000);
  const before = path.windowBytes;
  const waits = [500, 500, 60, 500, 500, 60].map((tookMs) => path.waits(tookMs, 50));
  expect(waits).toEqual(waits.map(() => false));
  expect([500, 500, 500].map((tookMs) => path.waits(tookMs, 50))).toEqual([false, false, true]);
  expect(path.windowBytes).toBe(before);
  path.grows(10_000); // such a window leaves in a tenth of that time: control does not wait for it
  expect([500, 500, 500].map((tookMs) => path.waits(tookMs, 50))).toEqual([false, false, false]);
});

test('sizes that are given stay, and so does any while no round trip is known', () => {
  let nowMs = 0;
  const nowMsOf = (): number => nowMs;
  const given = new ReceiveWindow(new Path(), {
    roundTripMs: () => 10,
    windowBytes: 4 * LEAF_BYTES,
    chunkBytes: LEAF_BYTES,
    nowMs: nowMsOf,
  });
  const unknown = new ReceiveWindow(new Path(), { roundTripMs: () => undefined, nowMs: nowMsOf });
  for (; nowMs < 5_000; nowMs += 100) for (const window of [given, unknown]) window.arrived(LEAF_BYTES);
  expect([given.bytes, given.chunkBytes]).toEqual([4 * LEAF_BYTES, LEAF_BYTES]);
  expect([unknown.bytes, unknown.chunkBytes]).toEqual([LEAF_BYTES / 2, SMALLEST_CHUNK_BYTES]);
});

test('a window holds four of its chunks', () => {
  const roundTripMs = (): number => 1;
  expect(new ReceiveWindow(new Path(), { roundTripMs, windowBytes: 1 }).bytes).toBe(MIN_WINDOW_BYTES);
  expect(new ReceiveWindow(new Path(), { roundTripMs, windowBytes: 1, chunkBytes: 4 * LEAF_BYTES }).bytes).toBe(16 * LEAF_BYTES);
  const path = new Path();
  path.chunkBytes = LEAF_BYTES;
  expect(new ReceiveWindow(path, { roundTripMs, windowBytes: LEAF_BYTES }).chunkBytes).toBe(LEAF_BYTES / 4);
});
