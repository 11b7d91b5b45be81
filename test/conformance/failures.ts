// The tests of a suite that a subject fails, by title, with what they say.
import type { RegisterTest } from '../../src/testing/checks.js';

/** `register` calls the suite with the function that it is given; titles come without the subject. */
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
