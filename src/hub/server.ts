// The server of one run: a hub of its own that ends with it.
import type { Driver } from '../driver/driver.js';
import type { RunResult } from '../server/run.js';
import { Hub } from './hub.js';
import { addJobRun, type JobRunOptions } from './job-run.js';

/** An address and the driver that listens there. */
export interface Listening {
  readonly driver: Driver;
  readonly url: string;
}

export interface ServerOptions extends JobRunOptions {
  /** The sites may come over any of them. */
  readonly listeners: readonly Listening[];
  /** Called with each URL that sites can connect to, in the order of `listeners`. */
  onListening(url: string): void;
}

/** Runs the job to its end. What was finished is on disk whenever it throws: `quorum`, `aborted`, `io`, … */
export async function runServer(options: ServerOptions): Promise<RunResult> {
  const { signal } = options;
  const hub = new Hub({ log: options.log });
  try {
    // Before it listens: a site that comes at once finds its run.
    const run = await addJobRun(hub, options);
    for (const { driver, url } of options.listeners) options.onListening((await hub.listen(driver, url, { signal })).url);
    return await run.finish();
  } finally {
    await hub.close();
  }
}
