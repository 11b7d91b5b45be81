// Event handlers and timers whose faults stay where they happen.

/**
 * The same function, but one that throws nothing: its error goes to `onError` instead. An error in
 * an event handler or a timer would otherwise end the process, whoever caused it.
 */
export function guarded<A extends readonly unknown[]>(
  run: (...args: A) => void,
  onError: (error: unknown, ...args: A) => void,
): (...args: A) => void {
  return (...args) => {
    try {
      run(...args);
    } catch (error) {
      onError(error, ...args);
    }
  };
}
