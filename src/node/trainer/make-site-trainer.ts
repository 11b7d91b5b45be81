// Makes a site's own trainer: the program that it has registered under the name in the job.
import { join, resolve } from 'node:path';
import type { Logger } from '../../core/log.js';
import { TRAINER_FOLDER } from '../../site/earlier-runs.js';
import type { Joined } from '../../site/server-link.js';
import type { BridgeJob } from '../../trainer/bridge/messages.js';
import { processTrainer } from '../../trainer/bridge/process-trainer.js';
import type { Trainer } from '../../trainer/trainer.js';
import { nodeFolder } from '../storage/node-folder.js';
import { makePrivateFolder } from '../storage/private-modes.js';
import { identifyModel } from './identify-model.js';
import { fillPlaceholders, type Placeholders, registeredTrainer, type SiteConfig } from './site-config.js';
import { startTrainerProcess } from './trainer-process.js';

/** The site, its job and its files. */
export interface SiteTrainerOptions {
  readonly site: string;
  readonly job: Joined['job'];
  readonly config: SiteConfig | undefined;
  /** Absolute paths of data files; undefined if the site was given none. */
  readonly data: string | undefined;
  readonly validation: string | undefined;
  /** The folder of the site's run, absolute: another run's program finds nothing of this one. */
  readonly work: string;
  readonly log: Logger;
}

/**
 * Makes a trainer over the program of that name; rejects with `refused` if the site has not
 * registered it. Nothing is started yet.
 */
export async function makeProcessTrainer(name: string, options: SiteTrainerOptions): Promise<Trainer> {
  const { site, job, config, data, validation, work, log } = options;
  const { command, folder, environment, silenceMs, stopMs } = registeredTrainer(config, name);
  const own = join(work, TRAINER_FOLDER);
  const exchange = join(work, 'bridge');
  for (const path of [own, exchange]) makePrivateFolder(path);
  const placeholders: Placeholders = { data, validation, site, work: own };
  const fill = (value: string): string => fillPlaceholders(value, placeholders);
  const [program, ...args] = command;
  const filled = {
    command: [fill(program), ...args.map(fill)] as [string, ...string[]],
    folder,
    environment: Object.fromEntries(Object.entries(environment).map(([variable, value]) => [variable, fill(value)])),
  };
  return processTrainer({
    label: `the trainer "${name}"`,
    site,
    job: bridgeJob(job),
    folder: own,
    silenceMs,
    stopMs,
    log,
    exchange: nodeFolder(exchange),
    pathOf: (file) => join(exchange, file),
    identify: (path) => identifyModel(resolve(folder, path)),
    start: () => startTrainerProcess({ ...filled, log }),
  });
}

/** The part of the job that a program may know: its settings for training. */
function bridgeJob({ name, seed, rounds, train, lora }: Joined['job']): BridgeJob {
  const wishes = Object.entries(train).flatMap(([wish, value]) => (value === undefined ? [] : [[wish, value] as const]));
  return { name, seed, rounds, train: Object.fromEntries(wishes), ...(lora.type !== 'factors' && { lora: lora.type }) };
}
