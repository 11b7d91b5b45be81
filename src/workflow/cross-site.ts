// Cross-site evaluation, as a run's last step: the global model, the best one, and what each site
// trained in the last round, each on the data of every site.
import { sumModel } from '../exchange/reduce.js';
import { bestRound, evaluatedOf } from '../record/selection.js';
import { tensorsOf } from '../tensor/select-tensors.js';
import type { StateDict } from '../tensor/state-dict.js';
import { overlaid } from './aggregate/overlay.js';
import type { Federation, Offer, Outcome, SiteFigures } from './federation.js';
import { siteFigures } from './site-evaluation.js';

/** The name, in the model store, of what a site trained in the last round; its number follows. */
const LOCAL = 'local.';

/**
 * Keeps what each site has trained in the last round, to be committed with the round's model: the
 * model that it was given, and its change as it has travelled. Chunk by chunk, one model after the
 * other.
 */
export async function keepLocals(outcomes: readonly Outcome[], offer: Offer, { models, codecs, sites }: Federation): Promise<void> {
  for (const outcome of outcomes) {
    if (outcome.status !== 'done' || !outcome.reply.model) continue;
    const { model, isUpdate, given = offer.held } = outcome.reply;
    const base = isUpdate ? tensorsOf(given, model.manifest) : undefined;
    const trained = sumModel({ addends: [{ model, weight: 1 }], base, codecs, what: `the model of ${outcome.site}` });
    const written = await models.write(`${LOCAL}${sites.indexOf(outcome.site)}`, overlaid(given, trained));
    await written.close?.();
  }
}

/**
 * Has every model evaluated by every site, one model after the other. `last` are the outcomes of
 * evaluating the last global model, in which a site that fails has a reason, and no figures.
 */
export async function crossSite(federation: Federation, last: readonly Outcome[]): Promise<void> {
  const { history, job, models, sites, noteSites } = federation;
  const { round } = history.at(-1) as { round: number };
  const found: SiteFigures[] = [...siteFigures(last, { round })];
  const best = bestRound(evaluatedOf(history), job)?.round ?? round;
  if (best !== round) found.push(...(await evaluated(await models.openRound(best), { round: best }, federation)));
  const kept = new Set(await models.names());
  for (const [index, site] of sites.entries()) {
    const name = `${LOCAL}${index}`;
    if (kept.has(name)) found.push(...(await evaluated(await models.open(name), { round, trained: site }, federation)));
  }
  await noteSites(round, found);
}

async function evaluated(model: StateDict, which: Pick<SiteFigures, 'round' | 'trained'>, federation: Federation): Promise<SiteFigures[]> {
  try {
    const offer = await federation.offer({ model, as: which.trained ?? 'global' });
    const { round } = federation.history.at(-1) as { round: number };
    // A site that fails here costs a cell of the table, not the run.
    return siteFigures(await federation.gather({ kind: 'evaluate', offer, evaluate: true, round }, { quorum: 0 }), which);
  } finally {
    await model.close?.();
  }
}
