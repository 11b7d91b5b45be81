// Ends a test process that hangs: a loop without an end lets no timer of its own thread fire.
import { Worker } from 'node:worker_threads';

const CODE = `
const { workerData: { memory, mostMs } } = require('node:worker_threads');
const beats = new Int32Array(memory);
let last = -1;
let atMs = Date.now();
setInterval(() => {
  const beat = Atomics.load(beats, 0);
  if (beat !== last) [last, atMs] = [beat, Date.now()];
  if (Date.now() - atMs < mostMs) return;
  require('node:fs').writeSync(2, 'the server hangs: epoch ' + Atomics.load(beats, 1) + ', step ' + Atomics.load(beats, 2) + '\\n');
  process.kill(process.pid, 'SIGKILL');
}, 1000);
`;

/** Kills this process, with a word, where no step ends for so many milliseconds. */
export class Watchdog {
  readonly #beats = new Int32Array(new SharedArrayBuffer(12));
  readonly #worker: Worker;

  constructor(mostMs: number) {
    this.#worker = new Worker(CODE, { eval: true, workerData: { memory: this.#beats.buffer, mostMs } });
    this.#worker.unref();
  }

  /** Called before each step. */
  beat(epoch: number, step: number): void {
    Atomics.store(this.#beats, 1, epoch);
    Atomics.store(this.#beats, 2, step);
    Atomics.add(this.#beats, 0, 1);
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}
