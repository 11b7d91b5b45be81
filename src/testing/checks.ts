// Assertions of the conformance suites: plain throws, so that any test framework can run them.

/** Registers one test; `test` of vitest, of `node:test` and of mocha all fit. */
export type RegisterTest = (name: string, run: () => Promise<void>) => unknown;

export function check(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message);
}

export function equal(actual: unknown, expected: unknown, what: string): void {
  check(Object.is(actual, expected), `${what}: got ${String(actual)}, expected ${String(expected)}`);
}

/** The error that a promise rejects with must have one of the codes; returns it. */
export async function rejects(promise: Promise<unknown>, codes: readonly string[], what: string): Promise<Error> {
  let error: unknown;
  try {
    await promise;
  } catch (thrown) {
    error = thrown;
  }
  check(error instanceof Error, `${what}: it did not fail`);
  const { code } = error as { code?: unknown };
  check(codes.includes(String(code)), `${what}: failed with code ${String(code)} (${error.message}), expected ${codes.join(' or ')}`);
  return error;
}

/** Bytes that depend on the seed alone. */
export function seededBytes(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits until a count stands still for a while: how a test sees that someone is blocked. */
export async function standstill(count: () => number, stillMs = 150): Promise<number> {
  for (;;) {
    const before = count();
    await pause(stillMs);
    if (count() === before) return before;
  }
}

/** The work must throw an error with one of the codes; returns it. */
export function throws(work: () => unknown, codes: readonly string[], what: string): Error {
  let error: unknown;
  try {
    work();
  } catch (thrown) {
    error = thrown;
  }
  check(error instanceof Error, `${what}: it did not fail`);
  const { code } = error as { code?: unknown };
  check(codes.includes(String(code)), `${what}: failed with code ${String(code)} (${error.message}), expected ${codes.join(' or ')}`);
  return error;
}

/** The same bits; NaNs, whose payload nobody promises, count as one. */
export function sameFloats(actual: Float32Array, expected: Float32Array, what: string): void {
  equal(actual.length, expected.length, `${what}: how many values`);
  for (let i = 0; i < actual.length; i++)
    if (!Object.is(actual[i], expected[i])) throw new Error(`${what}: value ${i} is ${actual[i]}, expected ${expected[i]}`);
}

/** Waits for a promise; fails where that takes longer. */
export async function inTime<T>(promise: Promise<T>, ms: number, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} was not over after ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
