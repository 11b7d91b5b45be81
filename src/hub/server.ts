// The server of one run, in a hub of its own that ends with it.
import type { Driver, DriverOptions } from '../driver/driver.js';
import type { RunResult } from '../server/run.js';
import { Hub } from './hub.js';
import { addJobRun, type JobRunOptions } from './job-run.js';

/** A driver and the address at which it listens. */
export interface Listening {
  readonly driver: Driver;
  readonly url: string;
}

/** Options of `runServer`: those of the run, and the addresses to listen at. */
export interface ServerOptions extends JobRunOptions {
  /** Addresses to listen at; a site may connect to any of them. */
  readonly listeners: readonly Listening[];
  /** Names and origins that requests over HTTP may have, for all listeners (`DriverOptions`). */
  readonly web?: Pick<DriverOptions, 'hosts' | 'origins'> | undefined;
  /** Called with each URL that sites can connect to, in the order of `listeners`. */
  onListening(url: string): void;
}

/**
 * Runs the job to its end, in a hub of its own. Finished rounds are on disk even when it throws
 * (`quorum`, `aborted`, `io`, …).
 */
export async function runServer(options: ServerOptions): Promise<RunResult> {
  const { signal, web } = options;
  const hub = new Hub({ log: options.log });
  try {
    // The run is added before the hub listens, so that a site that connects at once finds it.
    const run = await addJobRun(hub, options);
    for (const { driver, url } of options.listeners) options.onListening((await hub.listen(driver, url, { signal, ...web })).url);
    return await run.finish();
  } finally {
    await hub.close();
  }
}
