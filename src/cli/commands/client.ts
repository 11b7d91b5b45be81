// `fedstream client`: runs one site; its data stays on its machine.

import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { asFedStreamError, FedStreamError } from '../../core/errors.js';
import type { LogFields } from '../../core/log.js';
import { choose } from '../../core/row.js';
import { MAX_STRIPES } from '../../driver/stripe-join.js';
import type { Task } from '../../exchange/task.js';
import type { Kit } from '../../kit/kit.js';
import { nodeCodecs } from '../../node/codec/codecs.js';
import { fileLogger } from '../../node/process/log-file.js';
import { processMemory } from '../../node/process/memory.js';
import { stopSignal } from '../../node/process/stop-signal.js';
import { folderBase } from '../../node/run/base-folder.js';
import { readDataFile } from '../../node/run/data-files.js';
import { writeModelTo } from '../../node/run/run-files.js';
import { checkWritable } from '../../node/storage/check-writable.js';
import { nodeFolder } from '../../node/storage/node-folder.js';
import { makeProcessTrainer } from '../../node/trainer/make-site-trainer.js';
import { makeTrainer } from '../../node/trainer/make-trainer.js';
import { readSiteConfig, type SiteConfig } from '../../node/trainer/site-config.js';
import { runClient } from '../../site/client.js';
import { failureWords } from '../../site/disk-fault.js';
import { NO_LEAST } from '../../site/limits.js';
import type { SitePolicy } from '../../site/policy.js';
import { folderOfRun, nameOfRun } from '../../site/run-place.js';
import type { Joined } from '../../site/server-link.js';
import { DEFAULT_SHARE } from '../../site/share.js';
import { siteLink } from '../../site/site-link.js';
import type { SwarmOptions } from '../../swarm/options.js';
import { swarmTasks } from '../../swarm/swarm-tasks.js';
import { parseNamedFields } from '../../trainer/data/named-fields.js';
import type { ReadOptions } from '../../trainer/data/parse-data.js';
import { holdOut } from '../../trainer/data/split.js';
import { addConnectionOptions, type ConnectionOptions, clientConnecting } from '../connection-options.js';
import { EXIT } from '../exit-code.js';
import { FailedRounds } from '../failed-rounds.js';
import { type KitOptions, kitOption, loadKit } from '../kit-file.js';
import { duration, named, wholeNumber } from '../options.js';
import { say as sayAloud } from '../say.js';
import { addSwarmOptions, type SwarmSiteOptions, swarmSite } from '../swarm-site.js';
import { lockWork } from '../work-locks.js';

interface ClientOptions extends ConnectionOptions, KitOptions, SwarmSiteOptions {
  readonly connect: string;
  readonly site: string;
  readonly run?: string;
  readonly data?: string;
  readonly validation?: string;
  readonly siteConfig?: string;
  readonly base?: readonly string[];
  readonly work?: string;
  readonly threads?: number;
  readonly retry?: number;
  readonly holdOut?: number;
  readonly fields?: string;
  readonly strict?: boolean;
  readonly log?: string;
  readonly supervised?: boolean;
  readonly simulated?: boolean;
}

const HELP = `
Examples:
  $ fedstream client --connect tcps://server:9000 --tls-ca ca.crt --tls-cert hospital-a.crt --tls-key hospital-a.key \\
      --site hospital-a --data patients-qa.jsonl
  $ fedstream client --connect wss://example.org/fed --token-file lab.token --site lab --data lab.json --work /data/fedstream --threads 8
  $ fedstream client --connect tcp://127.0.0.1:9000 --token-file lab.token --site lab --site-config site.json --data lab.json \\
      --base HuggingFaceTB/SmolLM2-135M-Instruct
  $ fedstream client --connect tcps://hub:9000 --tls-ca ca.crt --token-file lab.token --run chest-x-ray --site lab --data lab.json
  $ fedstream client --connect tcps://server:9000 --tls-ca ca.crt --token-file lab.token --site lab --data lab.json --retry forever
  $ fedstream client --connect tcps://server:9000 --tls-ca ca.crt --token-file lab.token --site lab --data lab.json \\
      --swarm-listen tcps://0.0.0.0:9100 --swarm-address tcps://lab.example.org:9100 --swarm-allow clinic.example.org
`;

/** The subcommand `client`. */
export function clientCommand(): Command {
  const command = new Command('client').description('Run one site: it trains on its own data, and only model updates leave it.');
  return addSwarmOptions(addConnectionOptions(command))
    .requiredOption('--connect <url>', 'the server: tcps://host:port, wss://host/path, …')
    .requiredOption('--site <name>', "this site's name, as the job has it", named)
    .option('--token-file <file>', "this site's token, which proves its name where it has no certificate (fedstream token)")
    .option('--run <name>', 'the run to join, where the server has several', named)
    .option('--data <file>', 'instruction data (docs/data.md); a trainer of your own decides which formats it reads')
    .option('--fields <names>', 'fields of data in a shape of its own: prompt=…,answer=… (or messages=…, or text=…)')
    .option('--strict', 'end at the first sample that cannot be used; without it, such samples are left out and counted')
    .option('--validation <file>', 'data for evaluation only; the built-in trainer takes --hold-out instead')
    .option('--site-config <file>', 'trainers of this site, for jobs that name one, and filters on all that leaves it (docs/site.md)')
    .option(
      '--base <folder...>',
      'a model that this site has already, a file, a folder or a name in the Hugging Face cache: a run that begins with it does not send it',
    )
    .option('--work <folder>', 'where spools and optimizer state are kept, for each run by itself; by default fedstream-<site>')
    .option('--threads <count>', 'training threads; by default one a core, at most 4', wholeNumber(1))
    .option(
      '--stripes <count>',
      'connections that share the traffic, for paths with high latency or packet loss',
      wholeNumber(1, MAX_STRIPES),
    )
    .option(
      '--retry <duration>',
      'how long a server that is away is looked for, each time: 30s, 10m, 2h, forever (for a service); training goes on meanwhile. By default 10m',
      duration,
    )
    .option('--hold-out <percent>', 'share of the data for evaluation only, in percent', wholeNumber(0), 0)
    .option('--log <file>', 'log file; by default client.log in the work folder')
    .addOption(kitOption())
    .addOption(new Option('--supervised', 'ends with its parent').hideHelp())
    .addOption(new Option('--simulated', 'a site of a simulation, whose server has its data anyway').hideHelp())
    .addHelpText('after', HELP)
    .action(serveSite);
}

async function serveSite(options: ClientOptions): Promise<void> {
  const { site } = options;
  const supervised = options.supervised ?? false;
  const say = (line: string): void => sayAloud(`${site}: ${line}`);
  const { driver, credentials } = clientConnecting(options.connect, site, options);
  const kit = await loadKit(options.kit);
  const codecs = nodeCodecs(kit.codecs);
  const config = options.siteConfig === undefined ? undefined : readSiteConfig(options.siteConfig, kit.filters);
  // Data is read before the site connects, so that a wrong file is reported at once.
  const ownTrainers = Object.keys(config?.trainers ?? {}).length > 0;
  // Data of a simulation were read before, and are in our own shape.
  const shape = options.simulated ? undefined : config?.data.fields;
  const read: ReadOptions = {
    fields: options.fields === undefined ? shape : parseNamedFields(options.fields),
    onSkipped: options.strict ? undefined : say,
  };
  const samples = options.data === undefined || ownTrainers ? undefined : await readDataFile(options.data, read);
  const bases = await Promise.all((options.base ?? []).map((base) => folderBase(base)));
  const work = resolve(options.work ?? `fedstream-${site}`);
  await checkWritable(work, '--work');
  const swarm = await swarmSite(options, config, work);
  const locks = await lockWork(work, options);
  const folder = nodeFolder(work);
  const log = fileLogger(options.log ?? join(work, 'client.log'), { name: site });
  const warnAloud = (fields: LogFields, message: string): void => {
    log.warn(fields, message);
    say(message);
  };
  const onStop = (): void => {
    if (!supervised) say('stopping; the same command goes on from the last finished round');
  };
  const signal = stopSignal({ supervised, onStop });
  const told = supervised ? log : { ...log, warn: warnAloud };
  const policy = policyOf(config, kit, options.simulated ?? false);
  const link = siteLink({
    site,
    run: options.run,
    driver,
    credentials,
    url: options.connect,
    codecs,
    filters: kit.filters,
    folder,
    diskBytes: config?.diskBytes,
    places: locks,
    retryMs: options.retry ?? config?.retryMs,
    log: told,
    signal,
    share: policy.share,
  });

  const trainerOf = async ({ job, files, run }: Joined) => {
    const ofRun = folderOfRun(folder, run);
    if (!supervised) say(`joined: ${job.rounds} rounds; log ${options.log ?? join(work, 'client.log')}`);
    const data = absolute(options.data);
    const name = job.trainer?.name;
    if (kit.trainers.some((row) => row.name === name))
      return choose(kit.trainers, name, 'trainer')({ site, job, run, files, folder: ofRun, log, signal });
    if (job.trainer) {
      const program = { site, job, config, data, validation: absolute(options.validation), work: join(work, nameOfRun(run)), log };
      return makeProcessTrainer(job.trainer.name, program);
    }
    if (data === undefined) throw new FedStreamError('bad-argument', 'the job trains with the built-in trainer: give it data with --data');
    endsInTime(signal);
    const all = samples ?? (await readDataFile(data, read));
    const { training, validation } = holdOut(all, (options.holdOut ?? 0) / 100, job.validationSamples, job.seed);
    const threads = options.threads ?? Math.min(availableParallelism(), 4);
    return makeTrainer({
      job,
      files,
      training,
      validation,
      threads,
      stateFolder: ofRun,
      run,
      log: told,
      signal,
      mostMemoryBytes: policy.limits?.mostMemoryBytes,
    });
  };
  const failures = new FailedRounds();
  const own = {
    site,
    folder,
    codecs,
    filters: kit.filters,
    log,
    memory: processMemory,
    bases,
    policy,
    onFailure: (failure: FedStreamError, task: Task) => {
      failures.failed(failure, task);
      say(failureWords(failure));
    },
    onDone: (task: Task) => failures.done(task),
  };
  const onModel: SwarmOptions['onModel'] = async (model, { files, run }) => {
    const place = join(work, `model-${run.slice(0, 8)}`);
    await writeModelTo(nodeFolder(place), model, files);
    log.info({ place }, 'the last model of the swarm is here');
    if (!supervised) say(`the model is in ${place}`);
  };
  let ended: FedStreamError | undefined;
  try {
    const reason = await runClient({
      ...own,
      link,
      signal,
      tasks: swarmTasks({ ...own, ...swarm, kit, places: locks, onModel }),
      makeTrainer: trainerOf,
    });
    const failed = failures.error(reason);
    if (failed) throw failed;
    if (!supervised) say(`done: ${reason}`);
  } catch (error) {
    log.error({ code: (error as FedStreamError).code }, (error as Error).message);
    ended = asFedStreamError(signal.aborted ? signal.reason : error);
    throw ended;
  } finally {
    await link.close(ended);
    log.close();
    locks.release();
  }
}

/**
 * Ends the process if the built-in trainer is still inside a step some time after it was told to
 * stop: how long a step takes is the server's choice, and nothing is lost.
 */
function endsInTime(signal: AbortSignal): void {
  signal.addEventListener('abort', () => setTimeout(() => process.exit(EXIT.stopped), MOST_STOP_MS).unref(), { once: true });
}

/** Longer than a step of an honest job takes. */
const MOST_STOP_MS = 10_000;

/**
 * The rules of the site's owner. A simulated site has no default limits: the process that made its
 * data is the server's own; the limits of its configuration hold all the same.
 */
function policyOf(config: SiteConfig | undefined, { filters: table }: Kit, simulated: boolean): SitePolicy {
  const { filters = [], limits = {}, share } = config ?? {};
  // The server of a simulation has all data anyway.
  const shared = simulated ? { ...DEFAULT_SHARE, ...share, statistics: share?.statistics ?? true } : share;
  return { filters, table, share: shared, limits: simulated ? { ...NO_LEAST, ...limits } : limits };
}

function absolute(path: string | undefined): string | undefined {
  return path === undefined ? undefined : resolve(path);
}
