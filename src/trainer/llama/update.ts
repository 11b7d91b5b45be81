// The optimizer's part of a step: norm of the gradients, clipping, AdamW.
import { SQUARES_CHUNK } from './arena.js';
import type { Program } from './forward.js';
import { share } from './team.js';

/** Settings of AdamW and of clipping. */
export interface OptimizerSettings {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Decoupled weight decay; norms and biases do not decay. */
  readonly weightDecay: number;
  /** Gradients with a larger global norm are scaled down to this one. */
  readonly clipNorm: number;
}

/**
 * Sums the squares of each 4096 gradients, in float64; these parts do not depend on the number of
 * threads.
 */
export function squareGradients({ arena, kernels, team }: Program, partials: Float64Array): void {
  const { total } = arena.parameters;
  const [first, end] = share(team, partials.length);
  for (let chunk = first; chunk < end; chunk++) {
    const from = chunk * SQUARES_CHUNK;
    partials[chunk] = kernels.sumOfSquares(arena.gradients, from, Math.min(from + SQUARES_CHUNK, total));
  }
  team.barrier();
}

/** The global norm, summed from the parts in order. */
export function gradientNorm(partials: Float64Array): number {
  let sum = 0;
  for (const square of partials) sum += square;
  return Math.sqrt(sum);
}

/** One AdamW step; `step` counts from 1. */
export function updateWeights(program: Program, settings: OptimizerSettings, norm: number, learningRate: number, step: number): void {
  const { arena, kernels, team } = program;
  const { beta1, beta2, epsilon, weightDecay, clipNorm } = settings;
  // As torch.nn.utils.clip_grad_norm_ does it.
  const clip = Math.min(1, clipNorm / (norm + 1e-6));
  for (const { start, elements, kind } of arena.parameters.list) {
    const [first, end] = share(team, elements, 16);
    const at = (base: number): number => base + start * 4;
    const decay = kind === 'matrix' ? weightDecay : 0;
    const correction1 = 1 - beta1 ** step;
    const correction2 = 1 - beta2 ** step;
    kernels.adamw(
      at(arena.weights),
      at(arena.gradients),
      at(arena.firstMoments),
      at(arena.secondMoments),
      first,
      end,
      learningRate,
      beta1,
      beta2,
      epsilon,
      decay,
      clip,
      correction1,
      correction2,
    );
  }
  team.barrier();
}
