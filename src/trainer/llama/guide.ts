// Terms that are added to a step's gradients before they are clipped: FedProx's pull to the
// received model, and SCAFFOLD's correction.
import { FedStreamError } from '../../core/errors.js';
import { type Arena, MAX_ARENA_BYTES } from './arena.js';
import type { Program } from './forward.js';
import { share } from './team.js';

/**
 * Byte offsets of arrays as long as the parameters, behind the arena; they exist only if a task
 * needs them.
 */
export interface GuideRoom {
  readonly anchor: number;
  readonly correction: number;
  readonly gradientSum: number;
  readonly totalBytes: number;
}

/** The terms of a task. */
export interface Guide extends GuideRoom {
  /** Adds mu × (weights − anchor), if above 0. */
  readonly mu: number;
  /** True if gradients are summed up as they are, and then corrected. */
  readonly isCorrected: boolean;
}

/** Lays out the arrays; throws `limit` if they do not fit into 4 GiB with the rest. */
export function layOutGuide({ totalBytes, parameters }: Pick<Arena, 'totalBytes' | 'parameters'>): GuideRoom {
  const bytes = Math.ceil((parameters.total * 4) / 64) * 64;
  const anchor = Math.ceil(totalBytes / 64) * 64;
  const end = anchor + 3 * bytes;
  if (end > MAX_ARENA_BYTES) {
    const gib = (end / 2 ** 30).toFixed(1);
    throw new FedStreamError(
      'limit',
      `training this model with mu or control needs ${gib} GiB, and the built-in trainer has 4; use a smaller model`,
    );
  }
  return { anchor, correction: anchor + bytes, gradientSum: anchor + 2 * bytes, totalBytes: end };
}

/** Changes each gradient by itself, so that the bits do not depend on the number of threads. */
export function guideGradients({ arena, kernels, team }: Program, { anchor, correction, gradientSum, mu, isCorrected }: Guide): void {
  const { gradients, weights, parameters } = arena;
  const [first, end] = share(team, parameters.total, 16);
  if (isCorrected) {
    kernels.addTo(gradientSum, gradients, first, end);
    kernels.addTo(gradients, correction, first, end);
  }
  if (mu > 0) kernels.pull(gradients, weights, anchor, mu, first, end);
}

/**
 * The same in plain TypeScript, in the kernels' order of float32 operations: the tests' reference.
 */
export function referenceGuided(
  gradients: Float32Array,
  correction: Float32Array | undefined,
  { mu, weights, anchor }: { readonly mu: number; readonly weights: Float32Array; readonly anchor: Float32Array },
): Float32Array {
  const { fround } = Math;
  return gradients.map((gradient, i) => {
    const corrected = correction ? fround(gradient + (correction[i] as number)) : gradient;
    if (mu === 0) return corrected;
    const way = fround((weights[i] as number) - (anchor[i] as number));
    return fround(corrected + fround(fround(mu) * way));
  });
}
