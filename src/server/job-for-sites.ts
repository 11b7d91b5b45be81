// The job as its sites get it.
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

/**
 * The job without what sites need not know: the names of other sites, and the paths of this machine.
 * They get the number of sites, and of a model that lies here only that it is no configuration.
 */
export function jobForSites(job: Job): object {
  const { model, extras } = job;
  return {
    ...Object.fromEntries(FIELDS_FOR_SITES.map((field) => [field, job[field]])),
    sites: Math.min(siteNames(job).length, MOST_COUNTED_SITES),
    model: model !== 'offered' && 'path' in model ? { path: 'model' } : model,
    ...(Object.keys(extras).length > 0 && { extras }),
  };
}
