// Federated evaluation: nothing is trained; every site evaluates the given model on its own data.
import { z } from 'zod';
import { row } from '../core/row.js';
import type { Federation, Workflow } from './federation.js';
import { takeInitialModel } from './initial-model.js';
import { siteFigures } from './site-evaluation.js';
import { siteMean } from './site-mean.js';

/**
 * Every site evaluates the model that the run begins with, as it is: sites that have it already are
 * not sent it. The run has the figures of each site, and their mean by the job's `weights`.
 */
export function federatedEvaluation(): Workflow {
  return async (federation) => {
    const { history, job } = federation;
    await takeInitialModel(federation);
    if (history.length === 0) await federation.commit({ evaluation: await evaluatedHere(federation) });
    if (!history[0]?.bySite) {
      const offer = await federation.offer({ exactly: 'base' });
      const outcomes = await federation.gather({ kind: 'evaluate', offer, evaluate: true, round: 0 });
      if (!federation.evaluate) await federation.note(0, siteMean(outcomes, job.weights));
      await federation.noteSites(0, siteFigures(outcomes, { round: 0 }));
    }
    return 'the model is evaluated';
  };
}

/** A server that has data of its own evaluates too; the sites' figures then stand beside its own. */
async function evaluatedHere({ evaluate, models }: Federation) {
  if (!evaluate) return undefined;
  const model = await models.open('model');
  try {
    return await evaluate(model);
  } finally {
    await model.close?.();
  }
}

/** The row `federatedEvaluation`; it has no options. */
export const federatedEvaluationRow = row('federatedEvaluation', z.strictObject({}), () => federatedEvaluation);
