// What a run begins with, where its job leaves that open and its model is float32: the model as it is where sites have it already, else half its bytes.
import { broadcastsUpdates } from '../filter/chain.js';
import type { Coding } from '../filter/coding.js';
import { notedDtypes } from '../tensor/own-dtypes.js';
import type { Federation } from './federation.js';

/**
 * The first broadcast of the run. A checkpoint of 16 bits travels in its own dtype where a site lacks it, so there is nothing to ask; a float32 one
 * takes twice the bytes of its bfloat16: the connected sites are asked once whether they have it, and the fewer bytes in all win. Where the
 * sites evaluate, they have to have the model as it is all the same.
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
