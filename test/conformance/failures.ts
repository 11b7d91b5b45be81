// The tests of a suite that a subject fails, by title, with what they say.
import type { RegisterTest } from '../../src/testing/checks.js';

/** `register` gives the suite a function that registers a test; titles come without what stands before the first colon. */
export async function failures(register: (test: RegisterTest) => void): Promise<Record<string, string>> {
  const tests: [title: string, run: () => Promise<void>][] = [];
  register((name, run) => tests.push([name.slice(name.indexOf(': ') + 2), run]));
  const failed: Record<string, string> = {};
  for (const [title, run] of tests) {
    try {
      await run();
    } catch (error) {
      failed[title] = (error as Error).message;
    }
  }
  return failed;
}
