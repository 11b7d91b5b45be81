// The trainer's engine with its one thread in the test's own: starting a worker takes longer than
// what most tests let it compute.
import { readFileSync } from 'node:fs';
import type { LlamaEngineOptions } from '../../src/node/trainer/llama-host.js';
import { type LlamaEngine, startEngine } from '../../src/trainer/llama/engine.js';
import { startThread } from '../../src/trainer/llama/thread.js';

const MODULE = new WebAssembly.Module(readFileSync(new URL('../../dist/wasm/llama.wasm', import.meta.url)));

/** As `startLlamaEngine`, on one thread whatever the options say. */
export function oneThreadEngine({ config, size, optimizer }: LlamaEngineOptions): Promise<LlamaEngine> {
  return startEngine({
    config,
    size: { ...size, threads: 1 },
    optimizer,
    module: MODULE,
    startThreads: async (init) => {
      const run = startThread({ ...init, index: 0 });
      return { run: async (command) => run(command), close: async () => {} };
    },
  });
}
