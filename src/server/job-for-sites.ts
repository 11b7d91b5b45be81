// The job as its sites get it.
import { FedStreamError } from '../core/errors.js';
import { type Job, MOST_COUNTED_SITES, siteNames } from '../job/job.js';

/**
 * The fields that a site works by. All others are the business of the server alone, and earlier
 * versions of sites do not know some of them.
 */
export const FIELDS_FOR_SITES = [
  'name',
  'seed',
  'rounds',
  'idleMs',
  'trainer',
  'validationFraction',
  'validationSamples',
  'train',
  'quantize',
  'filters',
  'delta',
  'streaming',
] as const satisfies readonly (keyof Job)[];

/** What a relay works by as well: how long a round waits, and how results are combined. */
export const FIELDS_FOR_RELAYS = [
  'stragglerMs',
  'aliveMs',
  'roundMs',
  'graceMs',
  'integers',
  'normBound',
  'differences',
] as const satisfies readonly (keyof Job)[];

/**
 * The job without what sites need not know: the names of other sites, and the paths of this machine.
 * They get the number of sites, and of a model that lies here only that it is no configuration.
 */
export function jobForSites(job: Job, isRelay = false): object {
  const { model, extras, lora } = job;
  if (isRelay && (lora.ranks || lora.type === 'exact' || lora.type === 'svd'))
    throw new FedStreamError(
      'unsupported',
      `this run averages the products of adapters (lora ${lora.type}), which a relay cannot pass on as one; connect its sites to this server, or take lora "ffa"`,
    );
  const fields = [...FIELDS_FOR_SITES, ...(isRelay ? FIELDS_FOR_RELAYS : [])];
  return {
    ...Object.fromEntries(fields.map((field) => [field, job[field]])),
    // Numbers by site name the sites of this server.
    ...(isRelay && job.weights.type !== 'sites' && { weights: job.weights }),
    sites: Math.min(siteNames(job).length, MOST_COUNTED_SITES),
    model: model !== 'offered' && 'path' in model ? { path: 'model' } : model,
    // Of the ranks each site is told its own, with its tasks.
    ...(lora.type !== 'factors' && { lora: lora.type }),
    ...(Object.keys(extras).length > 0 && { extras }),
  };
}
