// A trainer's program in this process: the other side of the bridge, for tests.
import { Queue } from '../../core/queue.js';
import type { StartProgram } from './program.js';

/** Sends a message to the site. */
export type Say = (message: object) => void;

/** Starts a program that has said hello; `begin` makes what it does with each line of the site. */
export function programInMemory(begin: (say: Say) => (line: string) => void | Promise<void>): StartProgram {
  return async () => {
    const said = new Queue<Uint8Array>();
    const say: Say = (message) => said.push(new TextEncoder().encode(`${JSON.stringify(message)}\n`));
    const end = (): void => said.end();
    say({ type: 'hello', protocol: 1, client: 'in memory' });
    const hear = begin(say);
    const connection = {
      send: (bytes: Uint8Array) => void hear(new TextDecoder().decode(bytes).trimEnd()),
      close: end,
      [Symbol.asyncIterator]: () => said[Symbol.asyncIterator](),
    };
    return {
      connected: Promise.resolve(connection),
      ended: new Promise(() => {}),
      onOutput: () => {},
      lastLines: () => '',
      end: async () => end(),
    };
  };
}
