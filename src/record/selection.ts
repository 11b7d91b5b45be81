// Chooses the best round, and decides when to stop waiting for a better one.
import type { Metrics } from '../trainer/trainer.js';

/** The job's settings for the choice of the best round and for an early stop. */
export interface SelectionSettings {
  readonly selection: 'loss' | 'exactMatch';
  readonly earlyStop?: { readonly patience: number; readonly minDelta: number };
}

/** One evaluated round. */
export interface Evaluated {
  readonly round: number;
  readonly metrics: Metrics;
}

/** The rounds of a history that have figures. */
export function evaluatedOf(history: readonly { readonly round: number; readonly evaluation?: Metrics | undefined }[]): Evaluated[] {
  return history.flatMap(({ round, evaluation }) => (evaluation ? [{ round, metrics: evaluation }] : []));
}

/** The best of the evaluated rounds; the earlier one of two equal rounds. */
export function bestRound(evaluated: readonly Evaluated[], { selection }: SelectionSettings): Evaluated | undefined {
  let best: Evaluated | undefined;
  for (const candidate of evaluated) if (!best || gain(candidate.metrics, best.metrics, selection) > 0) best = candidate;
  return best;
}

/**
 * Returns true if none of the last `patience` rounds was better than the best one before them by
 * more than `minDelta`.
 */
export function shouldStop(evaluated: readonly Evaluated[], settings: SelectionSettings): boolean {
  const { earlyStop, selection } = settings;
  if (!earlyStop || evaluated.length <= earlyStop.patience) return false;
  const before = bestRound(evaluated.slice(0, -earlyStop.patience), settings) as Evaluated;
  return evaluated.slice(-earlyStop.patience).every(({ metrics }) => gain(metrics, before.metrics, selection) <= earlyStop.minDelta);
}

function gain(candidate: Metrics, other: Metrics, selection: SelectionSettings['selection']): number {
  return selection === 'loss' ? other.loss - candidate.loss : (candidate.exactMatch ?? 0) - (other.exactMatch ?? 0);
}
