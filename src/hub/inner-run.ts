// A run inside another: a hub's run without a workflow of its own, which asks its sites what its
// owner is asked by a server. A relay and an aggregating site have one.
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';
import { jsonText } from '../core/json-text.js';
import { Queue } from '../core/queue.js';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { readState } from '../exchange/state-file.js';
import type { Run, RunResult } from '../server/run.js';
import type { RunFederation } from '../server/run-federation.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { Hub } from './hub.js';
import { type OwnedRunOptions, openJobRun } from './job-run.js';

/** The file that says which of the owner's tasks the asks since the last commit belong to. */
const TASK_FILE = 'inner-task.json';
const taskStateSchema = z.strictObject({ round: z.int().min(-1), key: z.string() });

/** A task of the owner's, as far as the inner run must know it. */
export interface InnerTask {
  /**
   * Names the task, the same whenever it is asked again: after a crash, `work` finds the answers that
   * were there. Another key begins anew.
   */
  readonly key: string;
  /**
   * The model that the sites are given: float32, with a note of its checkpoint's dtypes. It is written
   * and committed before `work` begins, once for each key. Missing where the task has no model, or the
   * one that was committed last.
   */
  model?(): Promise<StateDict>;
  /**
   * How long the first task waits for the sites, in ms; then it is rejected with `quorum`, and the
   * next one waits. By default without an end.
   */
  readonly waitMs?: number;
}

/** Options of `openInnerRun`: those of a job's run, whose workflow is the owner. */
export type InnerRunOptions = Omit<OwnedRunOptions, 'workflow' | 'evaluator' | 'waits'>;

/**
 * A run inside another, opened from its folder; its sites can connect from now on. All that was asked
 * is durable, as in any run: after `kill -9`, `perform` with the same key asks nobody twice and gives
 * the same bits.
 */
export interface InnerRun {
  readonly run: Run;
  /**
   * Does the work of one task over the run's federation, after the tasks before it. The first task
   * of a process waits for the sites, as the start of any run does. `work` must be as deterministic as a workflow,
   * and must not commit; its replies are valid until it has resolved. Rejects with the error of `work`
   * (`quorum`, …), after which further tasks may follow; or with that of the run, once it has ended.
   */
  perform<T>(task: InnerTask, work: (federation: RunFederation) => Promise<T>): Promise<T>;
  /** Ends the run: its sites are told to stop, with the reason in words for people. */
  stop(reason: string): Promise<void>;
  /** Settles with the run: rejects where it ended by an error (`aborted`, `io`). */
  readonly ended: Promise<RunResult>;
}

/** A task that waits for its turn. */
type Turn = (federation: RunFederation) => Promise<void>;

/** Opens the inner run of a folder in a hub: a new one, or one that was stopped. */
export async function openInnerRun(hub: Hub, options: InnerRunOptions): Promise<InnerRun> {
  const turns = new Queue<Turn>();
  let reason = 'the run is over';
  // The workflow gives the federation to whoever has the turn; the run's own is behind it.
  const workflow = async (): Promise<string> => {
    for await (const turn of turns) await turn(run.federation);
    return reason;
  };
  const { run, finish } = await openJobRun(hub, { ...options, workflow, waits: false });
  const stopping = new AbortController();
  const waiting = AbortSignal.any([options.signal, hub.signal, stopping.signal]);
  let here = false;
  const ended = finish();
  let failure: unknown;
  let over: unknown;
  ended.then(
    () => {
      over = new FedStreamError('closed', 'the inner run is over');
    },
    (error: unknown) => {
      over = error;
    },
  );
  const perform = <T>(task: InnerTask, work: (federation: RunFederation) => Promise<T>): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      if (over !== undefined) reject(over);
      // A run that ends while a task waits, or is being done, ends the task.
      ended.then(() => reject(over), reject);
      turns.push(async (federation) => {
        try {
          if (!here) await sitesHere(run, waiting, task.waitMs);
          here = true;
          await begin(task, federation, options.run).catch((error: unknown) => {
            failure = error; // where the disk fails, nobody knows what was committed
            throw error;
          });
          resolve(await work(federation));
        } catch (error) {
          reject(error);
          options.signal.throwIfAborted();
          hub.signal.throwIfAborted();
          if (failure !== undefined) throw failure;
        }
      });
    });
  const stop = async (why: string): Promise<void> => {
    reason = why;
    turns.end();
    stopping.abort(new FedStreamError('closed', why));
    await ended;
  };
  return { run, perform, stop, ended };
}

/** Waits for the sites, within the limit. */
async function sitesHere(run: Run, signal: AbortSignal, waitMs: number | undefined): Promise<void> {
  const late = new AbortController();
  const error = new FedStreamError('quorum', `too few sites were there within ${(waitMs ?? 0) / 1000} s`);
  const timer = waitMs === undefined ? undefined : setTimeout(() => late.abort(error), waitMs);
  try {
    await run.waitForSites(AbortSignal.any([signal, late.signal]));
  } finally {
    clearTimeout(timer);
  }
}

/** Begins the task, or takes it up where an earlier process, or an earlier try, has left it. */
async function begin({ key, model }: InnerTask, federation: RunFederation, run: Folder): Promise<void> {
  await federation.close();
  const last = federation.history.at(-1)?.round ?? -1;
  const state = await readState(run, TASK_FILE, taskStateSchema);
  if (state?.key === key && state.round === last) return;
  if (!model && last < 0) return;
  // The round that the commit ends: a crash before it leaves a note that no commit fits.
  await writeText(run, TASK_FILE, jsonText({ round: federation.round, key }, TASK_FILE));
  if (model) {
    const given = await model();
    try {
      await (await federation.models.write('model', given)).close?.();
    } finally {
      await given.close?.();
    }
  }
  await federation.commit();
}
