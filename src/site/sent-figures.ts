// Checks the figures of a result before they leave a site, so that a diverged training is named here
// and not refused by the server as a message that it cannot read.
import { FedStreamError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import { MOST_FIGURE, namedFiguresSchema } from '../exchange/figure.js';
import type { ResultFigures } from '../exchange/task.js';

/**
 * Throws `non-finite` where a loss is no number or beyond any that means something. Metrics that
 * cannot travel (an infinite perplexity) are taken out of `figures` and logged: the result counts
 * without them.
 */
export function checkSentFigures(figures: ResultFigures, site: string, log: Logger): void {
  checkLoss(figures.trainLoss, 'training loss', site);
  if (figures.evaluation) checkLoss(figures.evaluation.loss, 'loss of the evaluation', site);
  const { metrics } = figures;
  if (!metrics) return;
  const kept: Record<string, number> = {};
  for (const [name, value] of Object.entries(metrics)) {
    if (namedFiguresSchema.safeParse({ ...kept, [name]: value }).success) kept[name] = value;
    else log.warn({ metric: name, value: String(value) }, `the metric ${name} is not sent: it is ${value}, or there are too many`);
  }
  figures.metrics = kept;
}

/** Throws `non-finite` for a loss of diverged training; `what` is its name in the message. */
export function checkLoss(loss: number, what: string, site: string): void {
  if (Math.abs(loss) <= MOST_FIGURE) return;
  throw new FedStreamError('non-finite', `the ${what} of ${site} is ${loss}: training has diverged; lower train.learningRate`);
}
