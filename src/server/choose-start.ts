// What a run begins with, where its job leaves that open and its model is float32: the model as it is where sites have it already, else half its bytes.
import { z } from 'zod';
import type { Logger } from '../core/log.js';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { readState } from '../exchange/state-file.js';
import { broadcastsUpdates } from '../filter/chain.js';
import type { Coding } from '../filter/coding.js';
import { type Job, siteNames } from '../job/job.js';
import { notedDtypes } from '../tensor/own-dtypes.js';
import type { StateDict } from '../tensor/state-dict.js';
import { openGlobalModel } from './global-models.js';
import { readJournal } from './journal.js';
import type { RoundExchange } from './round-exchange.js';
import type { TaskBoard } from './task-board.js';

export interface ChooseStartOptions {
  readonly job: Job;
  readonly run: Folder;
  readonly board: TaskBoard;
  readonly exchange: RoundExchange;
  /** Whether the server evaluates: where the sites do, they have to have the model as it is all the same. */
  readonly evaluates: boolean;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

const FILE = 'start.json';
const stateSchema = z.strictObject({ first: z.enum(['base', 'bf16']) });

/**
 * The first broadcast of the run. A checkpoint of 16 bits travels in its own dtype where a site lacks it, so there is nothing to ask; a float32 one
 * takes twice the bytes of its bfloat16: the connected sites are asked once whether they have it, and the fewer bytes in all win. What was chosen is kept.
 */
export async function chooseStart(options: ChooseStartOptions): Promise<Coding['first']> {
  const { job, run, evaluates } = options;
  const { first } = job.quantize;
  const described = job.model !== 'offered' && !('path' in job.model);
  if (first !== undefined || !broadcastsUpdates(job) || !evaluates || described) return first;
  const known = await readState(run, FILE, stateSchema);
  if (known) return known.first;
  if ((await readJournal(run)).some(({ round }) => round > 0)) return first;
  const model = await openGlobalModel(run, 0);
  try {
    const own = notedDtypes(model.manifest);
    if (!model.manifest.tensors.some((tensor) => own(tensor) === 'F32' && tensor.shape.length > 1)) return first;
    const having = await sitesThatHave(model, options);
    const chosen = 2 * having >= siteNames(job).length ? 'base' : 'bf16';
    options.log.info({ having, first: chosen }, 'chose how the run begins');
    await writeText(run, FILE, JSON.stringify({ first: chosen }));
    return chosen;
  } finally {
    await model.close?.();
  }
}

async function sitesThatHave(model: StateDict, options: ChooseStartOptions): Promise<number> {
  const { job, board, exchange, signal } = options;
  const { model: offered } = await exchange.offerExactly(model, true);
  const sites = board.connectedSites().sort();
  for (const site of sites)
    board.post(site, { id: `base-${site}`, kind: 'base', round: 0, rounds: job.rounds, model: offered, evaluate: false });
  const outcomes = await board.gather(sites, { quorum: 0, stragglerMs: job.stragglerMs, reconnectMs: job.idleMs, signal });
  await exchange.release();
  return outcomes.filter((outcome) => outcome.status === 'done' && outcome.result.metrics?.base === 1).length;
}
