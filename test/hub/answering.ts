// A hub under test, over the memory driver, and sites that join it or are refused.
import { silentLogger } from '../../src/core/log.js';
import { memory } from '../../src/driver/memory.js';
import { Session, type SessionOptions } from '../../src/frame/session.js';
import { Hub } from '../../src/hub/hub.js';
import type { HubRun } from '../../src/hub/hub-run.js';

export const URL = 'memory://hub';

/**
 * A run that answers each request with the first letter of its name, and records who came and went.
 */
export function answering(name: string, more: Partial<HubRun> = {}): HubRun & { readonly seen: string[] } {
  const seen: string[] = [];
  return {
    name,
    seen,
    sites: ['site-1', 'site-2'],
    admission: {},
    idleMs: 1000,
    async serve(session) {
      session.handle('request', () => void session.control('reply', name.charCodeAt(0)).catch(() => {}));
      await session.closed;
    },
    onConnection: (site, connected) => void seen.push(`${connected ? '+' : '-'}${site}`),
    ...more,
  };
}

export async function hubWith(...runs: HubRun[]) {
  const driver = memory();
  const warnings: string[] = [];
  const hub = new Hub({ log: { ...silentLogger, warn: (_, message) => void warnings.push(message) } });
  const added = runs.map((run) => hub.add(run));
  await hub.listen(driver, URL);
  const connect = async (name: string, options: Partial<SessionOptions> = {}) => {
    const session = new Session(await driver.connect(URL), { name, ...options });
    const answers: ((letter: string) => void)[] = [];
    session.handle('reply', (frame) => answers.shift()?.(String.fromCharCode(frame.stream)));
    /** Asks which run serves the session. */
    const ask = () => {
      const answer = new Promise<string>((resolve, reject) => {
        answers.push(resolve);
        void session.closed.then(reject);
      });
      void session.control('request', 1).catch(() => {});
      return answer;
    };
    return { session, ask };
  };
  const join = async (name: string, options: Partial<SessionOptions> = {}) => {
    const made = await connect(name, options);
    await made.session.start();
    return made;
  };
  /** The error with which the server ends the session of a site that it does not admit. */
  const refusal = async (name: string, options: Partial<SessionOptions> = {}) => {
    const { session } = await connect(name, options);
    void session.start().catch(() => {});
    return session.closed;
  };
  return { hub, driver, added, warnings, join, refusal };
}
