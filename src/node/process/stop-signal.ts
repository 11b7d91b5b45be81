// One abort signal for everything that means stop: Ctrl-C, SIGTERM, and a parent that is gone.
import { FedStreamError } from '../../core/errors.js';

export interface StopOptions {
  /** Started by a simulator: Ctrl-C is its business, and its end is ours. */
  readonly supervised: boolean;
  /** Called at the first signal, to tell a person what happens now. */
  onStop?(): void;
}

/** The first signal asks for an orderly stop; the second one ends the process at once. */
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
