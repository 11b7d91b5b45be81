// Striping: a driver whose connections are several of another's, for long or lossy paths.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import { type Connection, DEFAULT_CONNECT_TIMEOUT_MS, DEFAULT_MAX_FRAME_BYTES, type Driver, type DriverOptions } from './driver.js';
import { StripeGroups } from './stripe-groups.js';
import { encodeJoin, MAX_STRIPES } from './stripe-join.js';
import { NUMBER_BYTES, StripedConnection } from './striped-connection.js';

/**
 * Makes a driver that connects with 1 to 16 connections of `driver` at a time; throws
 * `bad-argument` for another number. Its listener takes striped and plain connections alike, and
 * tells them apart by their first frame, for which it waits. docs/spec/drivers.md has the rules.
 */
export function striped(driver: Driver, stripes: number): Driver {
  if (!Number.isInteger(stripes) || stripes < 1 || stripes > MAX_STRIPES)
    throw new FedStreamError('bad-argument', `${stripes} stripes; 1 to ${MAX_STRIPES} are possible`);
  const { listen, identify } = driver;
  return {
    schemes: driver.schemes,
    connect: (url, options) => (stripes === 1 ? driver.connect(url, options) : connect(driver, url, stripes, options)),
    ...(identify && { identify: (url, options) => identify.call(driver, url, options) }),
    ...(listen
      ? {
          async listen(url, accept, options = {}) {
            const groups = new StripeGroups(accept, options);
            const listener = await listen.call(driver, url, (connection) => groups.add(connection), wider(options));
            return {
              url: listener.url,
              async close() {
                await listener.close();
                groups.close();
              },
            };
          },
        }
      : {}),
  };
}

async function connect(driver: Driver, url: string, stripes: number, options: DriverOptions = {}): Promise<Connection> {
  const group = crypto.getRandomValues(new Uint8Array(16));
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  const limits = { connectTimeoutMs: options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS, ...wider(options), signal };
  const tries = Array.from({ length: stripes }, () => driver.connect(url, limits));
  try {
    const connections = await Promise.all(tries);
    for (const [index, connection] of connections.entries()) connection.send(encodeJoin({ group, index, count: stripes })).catch(() => {}); // its end reports it
    const frames = connections.map((connection) => connection[Symbol.asyncIterator]());
    return new StripedConnection(connections, frames, options.maxFrameBytes);
  } catch (error) {
    stop.abort(asFedStreamError(error));
    for (const one of await Promise.allSettled(tries)) if (one.status === 'fulfilled') void one.value.close(asFedStreamError(error));
    throw error;
  }
}

/** Raises the frame limit by the number in front of each frame. */
function wider(options: DriverOptions): DriverOptions {
  return { ...options, maxFrameBytes: (options.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES) + NUMBER_BYTES };
}
