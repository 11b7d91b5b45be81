// The codec pool on Node's worker threads.
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { CodecPool } from '../../codec/codec.js';
import { codecPool, type KernelThread, type ThreadEvents } from '../../codec/codec-pool.js';
import type { KernelAnswer, KernelSetup } from '../../codec/kernel-worker.js';
import { builtProgram } from '../built-file.js';
import { kernelModule } from './kernel-file.js';

/**
 * Makes a codec pool, with one thread per core by default. Idle threads do not keep the process
 * alive.
 */
export function nodeCodecPool(options: { threads?: number; lentBytes?: number } = {}): CodecPool {
  const { threads = availableParallelism(), ...rest } = options;
  return codecPool({ module: kernelModule('codec-shared.wasm'), threads, start: startThread, ...rest });
}

function startThread(setup: KernelSetup, events: ThreadEvents): KernelThread {
  const worker = new Worker(builtProgram('codec-thread'), { workerData: setup });
  let pending = 0;
  worker.on('message', (answers: readonly KernelAnswer[]) => {
    if (--pending === 0) worker.unref();
    events.answer(answers);
  });
  worker.on('error', events.failed);
  worker.unref(); // only here: a listener for messages keeps the process alive
  return {
    send(jobs) {
      if (pending++ === 0) worker.ref();
      worker.postMessage(jobs);
    },
    async close() {
      await worker.terminate();
    },
  };
}
