// A thread of the codec pool: runs the jobs that it is sent.
import { parentPort, workerData } from 'node:worker_threads';
import { type KernelJob, type KernelSetup, kernelWorker } from '../../codec/kernel-worker.js';

const perform = kernelWorker(workerData as KernelSetup);
parentPort?.on('message', (jobs: readonly KernelJob[]) => parentPort?.postMessage(jobs.map(perform)));
