// The two places in which a tokenizer runs: a thread for known rules, and a process of its own for
// all others, since a thread without memory takes its process along.
import { fork } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import { builtProgram } from '../built-file.js';

/** Messages to a tokenizer and back; it ends at once when it is told to, whatever it does. */
export interface TokenizerChannel {
  post(message: unknown): void;
  end(): Promise<void>;
}

/** Callbacks of a channel. */
export interface ChannelEvents {
  message(message: unknown): void;
  /** The tokenizer ended by itself, in words that follow its name. */
  broke(how: string): void;
}

/** The file of the program that tokenizes. */
const WORKER = 'tokenizer-worker';
const MEGABYTE = 1024 * 1024;

/** Runs the tokenizer on a thread of this process. */
export function openThread(heapBytes: number, events: ChannelEvents): TokenizerChannel {
  const worker = new Worker(builtProgram(WORKER), { resourceLimits: { maxOldGenerationSizeMb: heapBytes / MEGABYTE, stackSizeMb: 4 } });
  worker.on('message', (message) => events.message(message));
  worker.on('error', (cause) => events.broke(`failed: ${cause.message}`));
  return { post: (message) => worker.postMessage(message), end: async () => void (await worker.terminate()) };
}

/** Runs the tokenizer in a process with so much memory, which ends with this one. */
export function openProcess(heapBytes: number, events: ChannelEvents): TokenizerChannel {
  const child = fork(builtProgram(WORKER), [], {
    execArgv: [`--max-old-space-size=${Math.ceil(heapBytes / MEGABYTE)}`],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  let over = false;
  const exited = new Promise<void>((resolve) => {
    child.once('exit', (code, signal) => {
      if (!over) events.broke(signal ? `was ended by ${signal}; it may have taken too much memory` : `ended with exit code ${code}`);
      resolve();
    });
    child.once('error', (cause) => {
      if (!over) events.broke(`could not be started: ${cause.message}`);
      resolve();
    });
  });
  child.on('message', (message) => events.message(message));
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const end = async (): Promise<void> => {
    over = true;
    process.removeListener('exit', kill);
    kill();
    await exited;
  };
  // A message to a process that is gone is answered by its end.
  return { post: (message) => void child.send(message as object, () => {}), end };
}
