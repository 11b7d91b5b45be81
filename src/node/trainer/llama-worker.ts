// One thread of the built-in trainer: runs the commands that the engine posts.
import { parentPort, workerData } from 'node:worker_threads';
import { type Command, startThread, type ThreadInit } from '../../trainer/llama/thread.js';

const run = startThread(workerData as ThreadInit);
parentPort?.on('message', (command: Command) => {
  run(command);
  parentPort?.postMessage('done');
});
