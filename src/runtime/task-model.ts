// The model of a task on the site: fetched, decoded, and where broadcasts are differences, added to what the site holds.
import type { CodecTable } from '../codec/codec.js';
import type { Logger } from '../core/log.js';
import type { Folder } from '../core/storage.js';
import { broadcastsDelta, filterChain, filterPlan } from '../filter/chain.js';
import { applyFilters } from '../filter/filter.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { Task } from '../workflow/task.js';
import { HeldModels } from './held-models.js';
import type { Job } from './job.js';
import { wholeObject } from './protocol.js';
import type { ServerLink } from './server-link.js';

export interface TaskModelOptions {
  readonly site: string;
  readonly link: ServerLink;
  readonly codecs: CodecTable;
  readonly folder: Folder;
  readonly log: Logger;
}

/** The decoded model, to be read as often as needed until it is released. */
export interface TaskModel {
  readonly model: StateDict;
  release(): Promise<void>;
}

export async function receiveTaskModel(task: Task, job: Job, options: TaskModelOptions): Promise<TaskModel> {
  const { link, log, site, codecs, folder } = options;
  const held = new HeldModels(folder.folder('held'));
  const base = task.base === undefined ? undefined : await held.open(task.base);
  // A site that missed a round, or lost its folder, takes the whole model that the others hold: uncoded, so that all hold the same bits.
  const whole = task.base !== undefined && !base;
  const received = await link.fetchModel(whole ? wholeObject(task.object) : task.object);
  log.info({ round: task.round, whole, ...received.figures }, 'received the global model');
  const context = { point: 'task-in', site, round: task.round, codecs, reference: base, count: () => {} } as const;
  const decoded = whole ? received.model : await applyFilters(received.model, filterChain(filterPlan(job)['task-in']), context);
  if (!broadcastsDelta(job)) return { model: decoded, release: received.release };
  try {
    const model = await held.keep(heldRound(task), decoded);
    return { model, release: async () => model.close?.() };
  } finally {
    await base?.close?.();
    await received.release();
  }
}

/** The broadcast of an evaluation comes after the last round's. */
function heldRound({ kind, round }: Task): number {
  return kind === 'evaluate' ? round + 1 : round;
}
