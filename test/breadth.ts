// How much of its combinations the suite tries: all where CI runs it, a share of each kind otherwise.

/** True in CI (`npm run test:full`): every seed, scheme and step. */
export const IS_FULL = process.env.FEDSTREAM_SUITE === 'full';

/** `full` in CI, and `some` where somebody waits for the suite. */
export function breadth<T>(full: T, some: T): T {
  return IS_FULL ? full : some;
}
