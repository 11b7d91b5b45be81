// The initial model of a job that leaves it to its sites: the first site that has one offers it.
import { masterOf } from '../codec/float32.js';
import { decodeModel } from '../codec/quantize.js';
import { FedStreamError } from '../core/errors.js';
import { siteRank } from '../job/lora.js';
import { takeTexts } from '../tensor/noted-texts.js';
import { withManifest } from '../tensor/state-dict.js';
import type { Federation, Outcome } from './federation.js';

/**
 * Asks the connected sites, in the order of their names, until one has offered a model. Every site
 * then begins with that model. Throws `trainer` where no site offers one.
 */
export async function takeInitialModel(federation: Federation): Promise<void> {
  const { job, history, models, log, codecs, emit } = federation;
  if (job.model !== 'offered' || history.length > 0 || (await models.names()).includes('model')) return;
  const reasons: string[] = [];
  for (const site of offering(federation)) {
    log.info({ site }, 'asking for an initial model');
    const [outcome] = (await federation.gather({ kind: 'offer', round: 0 }, { sites: [site], quorum: 0 })) as [Outcome];
    if (outcome.status === 'done' && outcome.reply.model) {
      const { manifest, texts } = takeTexts(outcome.reply.model.manifest);
      await models.writeTexts({ ...outcome.reply.figures.files, ...texts });
      const written = await models.write('model', decodeModel(masterOf(withManifest(outcome.reply.model, manifest)), codecs));
      await written.close?.();
      return;
    }
    const reason = outcome.status === 'done' ? 'sent none' : outcome.reason;
    reasons.push(`${site} ${reason}`);
    const message = `no initial model from ${site}: ${reason}`;
    log.warn({ site }, message);
    emit({ type: 'warning', message });
  }
  throw new FedStreamError('trainer', `no site offered an initial model: ${reasons.join('; ')}`);
}

/** The connected sites in the order of their names; where they differ in rank, the largest adapters first. */
function offering({ connected, job }: Federation): string[] {
  const rank = (site: string): number => siteRank(job.lora, site)?.rank ?? 0;
  return [...connected()].sort().sort((a, b) => rank(b) - rank(a));
}
