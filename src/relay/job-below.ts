// The job of a relay's own sites: the one from above, with their names, and waits that leave the relay
// time to answer.
import { FedStreamError } from '../core/errors.js';
import { type Job, NAME_PATTERN } from '../job/job.js';
import { BY_SAMPLES, type Weights } from '../job/weights.js';

/** What the owner of a relay says of its own sites. */
export interface OwnSites {
  readonly sites: readonly string[];
  /** The results that a round needs of them; by default two thirds, rounded up. */
  readonly quorum?: number | undefined;
}

/** The share of the server's waits that a relay waits itself: the rest is for its own answer. */
const SHARE_OF_WAITS = 0.5;
const LEAST_STRAGGLER_MS = 100;
const SHARE_OF_ROUND = 0.9;

/** Throws `bad-argument` for names or a quorum that no job could have. */
export function checkOwnSites({ sites, quorum }: OwnSites): void {
  const wrong = sites.find((name) => !NAME_PATTERN.test(name));
  if (wrong !== undefined) throw new FedStreamError('bad-argument', `${JSON.stringify(wrong)} cannot name a site of this relay`);
  if (sites.length === 0) throw new FedStreamError('bad-argument', 'a relay has sites of its own; name at least one');
  const twice = sites.find((name, index) => sites.indexOf(name) !== index);
  if (twice !== undefined) throw new FedStreamError('bad-argument', `the relay has the site ${twice} twice`);
  if (quorum !== undefined && (quorum < 1 || quorum > sites.length))
    throw new FedStreamError('bad-argument', `a quorum of ${quorum} results is asked of ${sites.length} sites of this relay`);
}

/**
 * The job below. A site that falls silent is given up here after half of the server's time, so that
 * the server does not give up the relay meanwhile.
 */
export function jobBelow(job: Job, { sites, quorum }: OwnSites): Job {
  const { stragglerMs, roundMs, graceMs, weights, ...same } = job;
  return {
    ...same,
    sites: [...sites].sort(),
    quorum,
    stragglerMs: Math.max(LEAST_STRAGGLER_MS, Math.floor(stragglerMs * SHARE_OF_WAITS)),
    roundMs: roundMs === undefined ? undefined : Math.max(LEAST_STRAGGLER_MS, Math.floor(roundMs * SHARE_OF_ROUND)),
    graceMs: graceMs === undefined ? undefined : Math.floor(graceMs * SHARE_OF_WAITS),
    weights: weightsBelow(weights),
  };
}

/**
 * The weights of the own sites. A share of the sum is that of the whole federation, which the server
 * bounds: here it would cut an honest site of a small group. A single claim is bounded by the others
 * all the same. Numbers that the job gives to single sites name the server's own.
 */
function weightsBelow(weights: Weights): Weights {
  if (weights.type === 'equal') return weights;
  return { ...(weights.type === 'samples' ? weights : BY_SAMPLES), share: 1 };
}
