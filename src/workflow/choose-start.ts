// Chooses how a run begins where its job leaves that open: with the float32 model as it is where
// sites have it already, else in bfloat16.
import { broadcastsUpdates } from '../filter/chain.js';
import type { Coding } from '../filter/coding.js';
import { notedDtypes } from '../tensor/own-dtypes.js';
import type { Federation } from './federation.js';

/**
 * Chooses the first broadcast of the run. A 16-bit checkpoint travels in its own dtype to a site
 * that lacks it, so there is nothing to choose. A float32 checkpoint takes twice the bytes of its
 * bfloat16 version: the connected sites are asked once whether they have it, and the choice with
 * fewer bytes in all wins. Where the sites evaluate, they need the model as it is anyway.
 */
export async function chooseStart(federation: Federation): Promise<Coding['first']> {
  const { job, codecs, evaluate, models, sites, log } = federation;
  const { first } = job.quantize;
  const described = job.model !== 'offered' && !('path' in job.model);
  if (first !== undefined || !broadcastsUpdates(job, codecs) || !evaluate || described) return first;
  const model = await models.open('model');
  await model.close?.();
  const { manifest } = model;
  const own = notedDtypes(manifest);
  if (!manifest.tensors.some((tensor) => own(tensor) === 'F32' && tensor.shape.length > 1)) return first;
  const having = await sitesThatHave(federation);
  const chosen = 2 * having >= sites.length ? 'base' : 'bf16';
  log.info({ having, first: chosen }, 'chose how the run begins');
  return chosen;
}

async function sitesThatHave(federation: Federation): Promise<number> {
  const offer = await federation.offer({ exactly: 'base' });
  const asked = { sites: [...federation.connected()].sort(), quorum: 0 };
  const outcomes = await federation.gather({ kind: 'base', offer, round: 0 }, asked);
  return outcomes.filter((outcome) => outcome.status === 'done' && outcome.reply.figures.metrics?.base === 1).length;
}
