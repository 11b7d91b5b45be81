// The initial model of a job that leaves it to its sites: the first one that has one offers it.
import { FedStreamError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import type { Folder } from '../core/storage.js';
import type { Job } from '../job/job.js';
import { hasGlobalModel } from './global-models.js';
import { readJournal } from './journal.js';
import { OFFER_FOLDER } from './round-exchange.js';
import type { TaskBoard } from './task-board.js';

export interface InitialModelOptions {
  readonly job: Job;
  readonly run: Folder;
  readonly board: TaskBoard;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Asks the connected sites in the order of their names until one has offered a model; every site then begins with that one. */
export async function takeInitialModel({ job, run, board, log, signal }: InitialModelOptions): Promise<void> {
  if (job.model !== 'offered' || (await hasGlobalModel(run, 0)) || (await readJournal(run)).length > 0) return;
  const reasons: string[] = [];
  for (const site of board.connectedSites().sort()) {
    log.info({ site }, 'asking for an initial model');
    const id = `offer-${site}`;
    board.post(site, { id, kind: 'offer', round: 0, rounds: job.rounds, evaluate: false });
    const waits = { stragglerMs: job.stragglerMs, reconnectMs: job.idleMs, signal };
    const [outcome] = await board.gather([site], { ...waits, quorum: 0 });
    await run.remove(OFFER_FOLDER);
    if (outcome?.status === 'done') return;
    reasons.push(`${site} ${outcome?.reason}`);
    log.warn({ site }, `no initial model from ${site}: ${outcome?.reason}`);
  }
  throw new FedStreamError('trainer', `no site offered an initial model: ${reasons.join('; ')}`);
}
