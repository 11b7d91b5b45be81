// Gives way to the event loop in the middle of long work.

/**
 * Resolves once the event loop has turned: timers, sockets and signals were served. Work that takes
 * longer than some milliseconds awaits it between its parts.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
