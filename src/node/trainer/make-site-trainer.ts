// The trainer that a site uses for a job: the built-in one, or the program that it has registered under the job's name.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../../core/log.js';
import type { Joined } from '../../site/server-link.js';
import type { BridgeJob } from '../../trainer/bridge/messages.js';
import { processTrainer } from '../../trainer/bridge/process-trainer.js';
import type { Trainer } from '../../trainer/trainer.js';
import { nodeFolder } from '../storage/node-folder.js';
import { fillPlaceholders, type Placeholders, registeredTrainer, type SiteConfig } from './site-config.js';
import { startTrainerProcess } from './trainer-process.js';

export interface SiteTrainerOptions {
  readonly site: string;
  readonly job: Joined['job'];
  readonly config: SiteConfig | undefined;
  /** Absolute paths of data files; undefined where the site was given none. */
  readonly data: string | undefined;
  readonly validation: string | undefined;
  /** The site's own folder, absolute. */
  readonly work: string;
  readonly log: Logger;
}

/** A trainer over the program of that name; `refused` where the site has not registered it. Nothing is started yet. */
export async function makeProcessTrainer(name: string, options: SiteTrainerOptions): Promise<Trainer> {
  const { site, job, config, data, validation, work, log } = options;
  const { command, folder, environment, silenceMs, stopMs } = registeredTrainer(config, name);
  const own = join(work, 'trainer');
  const exchange = join(work, 'bridge');
  for (const path of [own, exchange]) mkdirSync(path, { recursive: true });
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
    start: () => startTrainerProcess({ ...filled, log }),
  });
}

/** What a program may know of the job: its wishes for training. */
function bridgeJob({ name, seed, rounds, train }: Joined['job']): BridgeJob {
  const wishes = Object.entries(train).flatMap(([wish, value]) => (value === undefined ? [] : [[wish, value] as const]));
  return { name, seed, rounds, train: Object.fromEntries(wishes) };
}
