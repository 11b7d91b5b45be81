// The initial model of a job that leaves it to its sites: the first site that has one offers it.
import { masterOf } from '../codec/float32.js';
import { decodeModel } from '../codec/quantize.js';
import { FedStreamError } from '../core/errors.js';
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
  for (const site of [...federation.connected()].sort()) {
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
