// The entry of a codec thread.
import { parentPort, workerData } from 'node:worker_threads';
import { type KernelJob, type KernelSetup, kernelWorker } from '../../codec/kernel-worker.js';

const perform = kernelWorker(workerData as KernelSetup);
parentPort?.on('message', (jobs: readonly KernelJob[]) => parentPort?.postMessage(jobs.map(perform)));
