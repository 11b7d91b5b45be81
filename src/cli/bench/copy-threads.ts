// Measures how fast all threads together copy memory, which bounds what kernels near that speed gain
// from a second thread.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { CHUNK_ELEMENTS } from '../../tensor/manifest.js';

const CHUNK_BYTES = CHUNK_ELEMENTS * 4;
const ROUNDS = 6;

/** A thread that copies its own chunks, one after the other, at each message. */
const THREAD = `
const { parentPort, workerData } = require('node:worker_threads');
const { chunks, chunkBytes } = workerData;
const made = () => Array.from({ length: chunks }, () => new Uint8Array(chunkBytes).fill(1));
const [from, to] = [made(), made()];
parentPort.on('message', () => {
  for (let i = 0; i < chunks; i++) to[i].set(from[i]);
  parentPort.postMessage(0);
});
parentPort.postMessage(0);
`;

/**
 * GB/s that `threads` threads copy together, each `chunks` chunks of its own; the best of a few
 * rounds.
 */
export async function copyOnThreads(threads: number, chunks: number): Promise<number> {
  const workerData = { chunks, chunkBytes: CHUNK_BYTES };
  const workers = Array.from({ length: threads }, () => new Worker(THREAD, { eval: true, workerData }));
  try {
    await Promise.all(workers.map((worker) => once(worker, 'message')));
    let best = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const startMs = performance.now();
      await Promise.all(
        workers.map((worker) => {
          const copied = once(worker, 'message');
          worker.postMessage(0);
          return copied;
        }),
      );
      best = Math.max(best, (threads * chunks * CHUNK_BYTES) / 1e6 / (performance.now() - startMs));
    }
    return Math.round(best * 100) / 100;
  } finally {
    for (const worker of workers) await worker.terminate();
  }
}
