// Errors that reach the process: each would have ended a server.
import type { Finding } from './findings.js';

const EVENTS = ['unhandledRejection', 'uncaughtException'] as const;

/** Takes them in place of whoever listened before, until `restore`. */
export class Unforeseen {
  #found: Finding[] = [];
  readonly #before = EVENTS.map((event) => [event, process.listeners(event as 'uncaughtException')] as const);

  constructor() {
    for (const event of EVENTS) {
      process.removeAllListeners(event);
      process.on(event as 'uncaughtException', (error: unknown) => {
        const { message, stack = '' } = error instanceof Error ? error : new Error(String(error));
        this.#found.push({
          kind: `the process would have ended: ${message.slice(0, 60)}`,
          detail: stack.split('\n').slice(0, 8).join('\n'),
        });
      });
    }
  }

  get any(): boolean {
    return this.#found.length > 0;
  }

  taken(): Finding[] {
    return this.#found.splice(0);
  }

  restore(): void {
    for (const [event, listeners] of this.#before) {
      process.removeAllListeners(event);
      for (const listener of listeners) process.on(event as 'uncaughtException', listener as never);
    }
  }
}
