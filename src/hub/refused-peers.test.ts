// Refused peers wait the longer the more of them came before, and only so many at a time.
import { expect, test } from 'vitest';
import { RefusedPeers } from './refused-peers.js';

const { signal } = new AbortController();

/** Records the pauses, which end when the test says so. */
function stalls() {
  const pauses: number[] = [];
  const ends: (() => void)[] = [];
  const stall = (ms: number): Promise<void> => {
    pauses.push(ms);
    return new Promise((resolve) => ends.push(resolve));
  };
  return { pauses, ends, stall };
}

test('budget refusalPauseMs: the pause doubles by address and by name, up to a limit', () => {
  const peers = new RefusedPeers();
  const { pauses, stall } = stalls();
  for (let i = 0; i < 9; i++) void peers.wait(`10.0.0.1:${5000 + i}`, `name-${i}`, { stall }, signal);
  expect(pauses).toEqual([50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
  // Another address has a pause of its own, unless it gives the same name as before.
  void peers.wait('10.0.0.2:5000', 'name-9', { stall }, signal);
  void peers.wait('10.0.0.3:5000', 'name-9', { stall }, signal);
  void peers.wait('10.0.0.4:5000', 'name-9', { stall }, signal);
  expect(pauses.slice(9)).toEqual([50, 100, 200]);
});

test('budget refusedOfAddress: more of one address than that are cut off, and others still wait for their answer', async () => {
  const peers = new RefusedPeers();
  const { ends, stall } = stalls();
  const first = peers.wait('10.0.0.1:1', 'a', { stall }, signal);
  for (let i = 1; i < 64; i++) void peers.wait(`10.0.0.1:${i}`, 'a', { stall }, signal);
  expect(peers.wait('10.0.0.1:99', 'a', { stall }, signal)).toBeUndefined();
  const other = peers.wait('10.0.0.2:1', 'a', { stall }, signal);
  ends[0]?.();
  ends.at(-1)?.();
  await Promise.all([first, other]);
  // There is room again.
  const again = peers.wait('10.0.0.1:100', 'a', { stall }, signal);
  ends.at(-1)?.();
  expect(again).toBeInstanceOf(Promise);
  await again;
});

test('budget refused: more from many addresses than that are cut off', () => {
  const peers = new RefusedPeers();
  const { stall } = stalls();
  for (let i = 0; i < 512; i++) void peers.wait(`10.0.${i >> 8}.${i & 255}:1`, `${i}`, { stall }, signal);
  expect(peers.wait('10.1.0.0:1', 'x', { stall }, signal)).toBeUndefined();
});
