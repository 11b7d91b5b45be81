// Figures of an evaluation, as far as the site's owner lets them out.
import type { Metrics } from '../trainer/trainer.js';
import type { Workplace } from './workplace.js';

/**
 * The figures of an evaluation, where it had samples enough; otherwise they stay here, since the
 * loss on a few samples says what is in them.
 */
export function sharedEvaluation(evaluation: Metrics | undefined, { enforced, trainer, log }: Workplace): Metrics | undefined {
  const { limits } = enforced;
  const counts = trainer.samplesIn !== undefined || enforced.stated('leastEvaluationSamples');
  if (!evaluation || !counts || evaluation.samples >= limits.leastEvaluationSamples) return evaluation;
  const { samples } = evaluation;
  log.warn(
    { samples, limit: limits.leastEvaluationSamples },
    `the evaluation on ${samples} samples stays here: limits.leastEvaluationSamples is ${limits.leastEvaluationSamples}`,
  );
  return undefined;
}
