// A thread of the trainer: runs its share of each command, then waits for the others.
import type { ArenaSize } from './arena.js';
import { layOutArena, SQUARES_CHUNK } from './arena.js';
import { backward } from './backward.js';
import type { LlamaConfig } from './config.js';
import { forward, type MicroBatch, type Program } from './forward.js';
import { type Guide, guideGradients } from './guide.js';
import { headAndLoss } from './head.js';
import { instantiateKernels } from './kernels.js';
import { share, sharedBarrier } from './team.js';
import { gradientNorm, type OptimizerSettings, squareGradients, updateWeights } from './update.js';

/** Everything that a thread needs to start; it can be posted to a worker. */
export interface ThreadInit {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly config: LlamaConfig;
  readonly size: ArenaSize;
  readonly optimizer: OptimizerSettings;
  readonly index: number;
}

/** A command, the same for every thread. */
export type Command =
  | { readonly type: 'zero-gradients' }
  /** Forward, loss and backward, with the gradients of loss × scale. */
  | { readonly type: 'train'; readonly micro: MicroBatch; readonly scale: number }
  | { readonly type: 'evaluate'; readonly micro: MicroBatch }
  /** Comes between the last `train` of a step and its `square-gradients`. */
  | { readonly type: 'guide'; readonly guide: Guide }
  | { readonly type: 'square-gradients' }
  | { readonly type: 'update'; readonly learningRate: number; readonly step: number };

/** Makes a thread's runner of commands, which returns once all threads are done. */
export function startThread({ module, memory, config, size, optimizer, index }: ThreadInit): (command: Command) => void {
  const arena = layOutArena(config, size);
  const kernels = instantiateKernels(module, memory);
  const words = new Int32Array(memory.buffer, arena.control, 2);
  const team = { index, threads: size.threads, barrier: sharedBarrier(words, size.threads) };
  const program: Program = { config, arena, kernels, team };
  const partials = new Float64Array(memory.buffer, arena.squarePartials, Math.ceil(arena.parameters.total / SQUARES_CHUNK));
  return (command) => {
    switch (command.type) {
      case 'zero-gradients': {
        const [first, end] = share(team, arena.parameters.total, 16);
        kernels.fill(arena.gradients, first, end);
        break;
      }
      case 'train':
        forward(program, command.micro);
        headAndLoss(program, command.micro, command.scale);
        backward(program, command.micro);
        break;
      case 'evaluate':
        forward(program, command.micro);
        headAndLoss(program, command.micro, 0);
        break;
      case 'guide':
        guideGradients(program, command.guide);
        break;
      case 'square-gradients':
        squareGradients(program, partials);
        break;
      case 'update':
        updateWeights(program, optimizer, gradientNorm(partials), command.learningRate, command.step);
        break;
    }
    team.barrier();
  };
}
