// Limits one try to connect in time, and stops it at a signal.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import { DEFAULT_CONNECT_TIMEOUT_MS, type DriverOptions } from './driver.js';

/**
 * Runs one try to connect. The try gets a signal, and must fail with the error that the signal is
 * aborted with: `timeout` after the limit, and otherwise the reason of the caller's own signal, or
 * `aborted`.
 */
export async function connecting<T>(url: string, options: DriverOptions, attempt: (stop: AbortSignal) => Promise<T>): Promise<T> {
  const { signal, connectTimeoutMs: limitMs = DEFAULT_CONNECT_TIMEOUT_MS } = options;
  const stop = new AbortController();
  const aborted = (): void => stop.abort(asFedStreamError(signal?.reason, 'aborted', `connecting to ${url}`));
  const late = (): void => stop.abort(new FedStreamError('timeout', `${url} did not answer within ${limitMs / 1000} s`));
  if (signal?.aborted) aborted();
  stop.signal.throwIfAborted();
  const timer = setTimeout(late, limitMs);
  signal?.addEventListener('abort', aborted, { once: true });
  try {
    return await attempt(stop.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', aborted);
  }
}
