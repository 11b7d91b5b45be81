// The seeded fault cases of a run of the suite: a hundred and more in CI, a fifth of them where
// somebody waits for it, and FEDSTREAM_FAULTS times those of CI if it is set.
import { breadth } from '../breadth.js';

/**
 * `FEDSTREAM_FAULTS=50 npx vitest run test/faults` runs fifty times as many. What the cases must have
 * met together is in proportion.
 */
export const SHARE = Number(process.env.FEDSTREAM_FAULTS ?? breadth(1, 0.2));

/** The seeds of a test that has `count` cases in CI. */
export function seeds(count: number): number[] {
  return Array.from({ length: Math.max(1, Math.round(count * SHARE)) }, (_, i) => i + 1);
}

/** The least that must have occurred in all cases together, `least` of it in CI. */
export function inProportion(least: number): number {
  return Math.floor(least * Math.min(1, SHARE));
}
