// The aggregator of a round: a hub with one run, for one round, in the process of a site, which takes
// part in it like the others.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import { memory } from '../driver/memory.js';
import { SWARM_RUN } from '../exchange/swarm.js';
import type { TokenVerifier } from '../frame/token.js';
import { Hub } from '../hub/hub.js';
import { addJobRun } from '../hub/job-run.js';
import type { Job } from '../job/job.js';
import { aggregatingOf } from '../kit/kit.js';
import type { EventBody } from '../record/events.js';
import type { Workplace } from '../site/workplace.js';
import { swarmRound } from '../workflow/swarm-round.js';
import type { SwarmListening, SwarmOptions } from './options.js';
import type { Role } from './role.js';

/** An attempt at a round, and who takes part. */
export interface Serving {
  readonly label: string;
  readonly round: number;
  /** With the sites that take part; the aggregator is one of them. */
  readonly job: Job;
  readonly verifiers: Readonly<Record<string, TokenVerifier>>;
  readonly next: string | undefined;
}

/** Bytes between the sites in a round, as they went, and as float32 would have had them. */
export interface Moved {
  down: number;
  downFp32: number;
  up: number;
  upFp32: number;
}

/** Where the aggregator's own site connects, in its process. */
const OWN_URL = 'memory://swarm';

/**
 * Serves the round; `takePart` is called with the way for the aggregator's own site, and runs beside
 * it. Rejects with `quorum` where too few sites come or stay.
 */
export async function serve(
  serving: Serving,
  listen: SwarmListening,
  role: Role,
  place: Workplace,
  options: SwarmOptions,
  takePart: (driver: ReturnType<typeof memory>, url: string) => Promise<void>,
): Promise<Moved> {
  const { job, round, label, next } = serving;
  const { codecs, filters, log } = place;
  const { kit } = options;
  const stop = new AbortController();
  const signal = AbortSignal.any([place.signal, stop.signal]);
  // Sites come within the time after which one of them would be given up, or there is no round.
  const late = setTimeout(
    () => stop.abort(new FedStreamError('quorum', `too few sites came to the aggregator within ${(2 * job.stragglerMs) / 1000} s`)),
    2 * job.stragglerMs,
  );
  const moved: Moved = { down: 0, downFp32: 0, up: 0, upFp32: 0 };
  const emit = (event: EventBody): void => {
    if (event.type === 'round-started') clearTimeout(late);
    if (event.type === 'warning') log.warn({ round }, event.message);
    if (event.type !== 'transfer') return;
    moved[event.direction] += event.bytes;
    moved[`${event.direction}Fp32`] += event.fp32Bytes;
  };
  const own = memory();
  const hub = new Hub({ log });
  try {
    const run = await addJobRun(hub, {
      job,
      run: role.server,
      name: SWARM_RUN,
      codecs,
      filters,
      workflow: swarmRound(aggregatingOf(job, kit), { round, label, next }),
      sitesHold: true,
      files: {},
      admission: { tokens: serving.verifiers },
      emit,
      memory: options.memory,
      log,
      signal,
    });
    await hub.listen(own, OWN_URL, { signal });
    const { url } = await hub.listen(listen.driver, listen.url, { signal });
    log.info({ round, label, url, sites: job.sites }, 'serves the round as its aggregator');
    const finished = run.finish();
    const part = takePart(own, OWN_URL);
    part.catch((error: unknown) => {
      // Rules of its own owner that it breaks as a site, it breaks as the aggregator too.
      const refused = asFedStreamError(error);
      if (refused.code === 'refused') stop.abort(refused);
    });
    await finished;
    await part;
    return moved;
  } finally {
    clearTimeout(late);
    await hub.close();
  }
}
