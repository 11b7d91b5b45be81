// Lets the event loop turn during long synchronous work, so that heartbeats and signals get
// through.

/** Short compared with any idle limit, long compared with a turn. */
const TURN_MS = 20;

let lastTurnMs = performance.now();

/**
 * Returns undefined while the last turn is recent, and otherwise a promise that resolves after one.
 * Long work awaits it between chunks.
 */
export function turn(): Promise<void> | undefined {
  if (performance.now() - lastTurnMs < TURN_MS) return undefined;
  return new Promise((resolve) => {
    setImmediate(() => {
      lastTurnMs = performance.now();
      resolve();
    });
  });
}
