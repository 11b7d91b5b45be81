// One abort signal for Ctrl-C, SIGTERM and the end of the parent process.
import { FedStreamError } from '../../core/errors.js';

/** The process that asks for the signal. */
export interface StopOptions {
  /** True for a child of a simulator: the simulator handles Ctrl-C, and the child ends with it. */
  readonly supervised: boolean;
  /** Called at the first signal, to tell the user what happens now. */
  onStop?(): void;
}

/**
 * Makes the signal. The first stop asks for an orderly end; the second one ends the process at
 * once.
 */
export function stopSignal({ supervised, onStop }: StopOptions): AbortSignal {
  const controller = new AbortController();
  const stop = (what: string): void => {
    if (controller.signal.aborted) process.exit(130);
    onStop?.();
    controller.abort(new FedStreamError('aborted', what));
  };
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => {
    if (!supervised) stop('Ctrl-C');
  });
  if (supervised) {
    process.stdin.on('end', () => {
      if (!controller.signal.aborted) stop('the simulator is gone');
    });
    process.stdin.resume();
    process.stdin.unref?.();
  }
  return controller.signal;
}
