// Lets the event loop turn in the middle of long synchronous work, so that heartbeats and signals are not kept waiting by bulk.

/** Short beside every idle limit, long beside a turn. */
const TURN_MS = 20;

let lastTurnMs = performance.now();

/** Undefined as long as the last turn is recent; otherwise a promise that is kept after one. What is awaited between chunks of work. */
export function turn(): Promise<void> | undefined {
  if (performance.now() - lastTurnMs < TURN_MS) return undefined;
  return new Promise((resolve) => {
    setImmediate(() => {
      lastTurnMs = performance.now();
      resolve();
    });
  });
}
