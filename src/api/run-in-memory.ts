// A whole federation in one process: server and sites over the memory driver, with everything that
// a real one does.
import { FedStreamError } from '../core/errors.js';
import { type Logger, silentLogger } from '../core/log.js';
import { memoryFolder } from '../core/memory-folder.js';
import type { Folder } from '../core/storage.js';
import { memory } from '../driver/memory.js';
import { runServer } from '../hub/server.js';
import type { JobInput } from '../job/job.js';
import { builtInKit, type Kit, parseJob, workflowOf } from '../kit/kit.js';
import type { EmitEvent } from '../record/events.js';
import { openGlobalModel, writeInitialModel } from '../server/global-models.js';
import type { RunResult } from '../server/run.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { Trainer } from '../trainer/trainer.js';
import { runSite } from './run-site.js';

/** Options of `runInMemory`. */
export interface InMemoryOptions {
  /** The job; its sites default to those of `trainers`. */
  readonly job: JobInput;
  /** The initial model: float32, float16 or bfloat16. */
  readonly model: StateDict;
  /** The trainer of each site, by the site's name. Each is closed at the end. */
  readonly trainers: Readonly<Record<string, Trainer>>;
  readonly kit?: Kit;
  /** The run folder; in memory by default. A folder that already holds a run continues it. */
  readonly run?: Folder;
  readonly emit?: EmitEvent;
  readonly log?: Logger;
  readonly signal?: AbortSignal;
}

/** The result of a run in one process: that of the server, and the model itself. */
export interface InMemoryResult extends RunResult {
  /** The last global model, float32; the caller closes it. */
  readonly model: StateDict;
}

/**
 * Runs the job to its end and returns the last global model. Messages are coded, streamed and
 * verified as between machines; only the connections are in memory. Meant for tests, studies and a
 * first look; the models should fit in memory. Throws as `runServer` does, and `unsupported` for a
 * workflow that leaves no model at the server.
 */
export async function runInMemory(options: InMemoryOptions): Promise<InMemoryResult> {
  const { model, trainers, kit = builtInKit, run = memoryFolder('run'), emit = () => {}, log = silentLogger } = options;
  const job = parseJob({ sites: Object.keys(trainers), ...options.job }, 'the job', kit);
  const { codecs, filters } = kit;
  const workflow = workflowOf(job, kit);
  if (workflow.modelAtSites)
    throw new FedStreamError('unsupported', `the workflow ${job.workflow.type} has its model at the sites alone: use fedstream simulate`);
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  await writeInitialModel(run, model, codecs);
  const driver = memory();
  const url = 'memory://server';
  const shared = { codecs, filters, driver, url, log, signal };
  const sites = Object.entries(trainers).map(([site, trainer]) => () => {
    // Both sides are one process here, so words of errors leave nothing.
    const policy = { filters: [], share: { errors: true, steps: true } };
    const ended = runSite({ ...shared, policy, site, folder: memoryFolder(site), memory: noMemory, makeTrainer: async () => trainer });
    ended.catch(() => {}); // the server tells what became of the run
    return ended;
  });
  const running: Promise<string>[] = [];
  const onListening = (): void => void running.push(...sites.map((start) => start()));
  try {
    const result = await runServer({ ...shared, job, run, workflow, files: {}, emit, listeners: [{ driver, url }], onListening });
    return { ...result, model: await openGlobalModel(run, result.lastRound) };
  } finally {
    stop.abort();
    await Promise.allSettled(running);
  }
}

function noMemory(): { rssBytes: number; peakRssBytes: number } {
  return { rssBytes: 0, peakRssBytes: 0 };
}
