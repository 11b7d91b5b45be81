// `fedstream simulate`: a whole federation on this machine, with a process for each site.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { asFedStreamError, FedStreamError } from '../../core/errors.js';
import { jsonText } from '../../core/json-text.js';
import { codingLabel } from '../../filter/coding.js';
import { type Job, siteNames } from '../../job/job.js';
import { type Kit, workflowOf } from '../../kit/kit.js';
import { pathOfPlace } from '../../node/model/find-model.js';
import { type Supervised, supervise } from '../../node/process/child-process.js';
import { processMemory } from '../../node/process/memory.js';
import { stopSignal } from '../../node/process/stop-signal.js';
import { loadRunData, prepareRun, siteData, startPlace, validationPath } from '../../node/run/prepare-run.js';
import { readRunJob } from '../../node/run/run-files.js';
import { createRunFolder, findRunFolder } from '../../node/run/run-folder.js';
import { nodeFolder } from '../../node/storage/node-folder.js';
import { readSiteConfig, registeredTrainer } from '../../node/trainer/site-config.js';
import { parseEventLine } from '../../record/event-lines.js';
import { openRunRecord } from '../../record/run-record.js';
import { SinkGroup } from '../../record/sinks/sink-group.js';
import { readJournal } from '../../server/journal.js';
import { driverOption } from '../connection-options.js';
import { type EventOptions, eventsOption, openEvents, sinkOption } from '../event-options.js';
import { EXIT } from '../exit-code.js';
import { finishRun, summaryLines } from '../finish-run.js';
import { loadJob } from '../job-file.js';
import { addJobOptions, type JobOptions } from '../job-options.js';
import { type KitOptions, kitAgain, kitOption, loadKit } from '../kit-file.js';
import { type LocalNetwork, openLocalNetwork } from '../local-network.js';
import { openLocalSwarm } from '../local-swarm.js';
import { dtypeOption, wholeNumber } from '../options.js';
import { type EventReporter, eventReporter } from '../progress.js';
import { lockSimulation } from '../run-locks.js';
import { say } from '../say.js';
import { readTree, relayReports, type Tree, treeOf, writeTree } from '../simulated-tree.js';

interface SimulateOptions extends JobOptions, EventOptions, KitOptions {
  readonly resume?: string;
  readonly dtype?: string;
  readonly listen?: string;
  readonly relays?: number;
  readonly siteConfig?: string;
  readonly holdOut: number;
}

const HELP = `
Examples:
  $ fedstream simulate                                        the default job: three sites, updates of 4 bits both ways
  $ fedstream simulate --codec fp32 --rounds 3 --name baseline
  $ fedstream simulate --codec lean                           updates of 4 bits down, of 1 bit up
  $ fedstream simulate --algorithm diloco                     another algorithm (docs/guide/algorithms.md)
  $ fedstream simulate --data instructions.jsonl --alpha 0.3 --sites 4
  $ fedstream simulate --job job.json --model ./llama-folder
  $ fedstream simulate --job job.json --site-config site.json  train with a program of your own
  $ fedstream simulate --driver tcps                          inside TLS, with throw-away certificates
  $ fedstream simulate --sites 9 --relays 3                   a tree: each relay sends one update for three sites
  $ fedstream simulate --resume runs/latest
`;

const BIN = fileURLToPath(new URL('../../../bin/fedstream.mjs', import.meta.url));
/** Children that were asked to stop are killed after this time. */
const STOP_MS = 15_000;

/** Sites whose own words stand in the error of a simulation. */
const MOST_WORDS = 3;

/** The subcommand `simulate`. */
export function simulateCommand(): Command {
  return addJobOptions(
    new Command('simulate').description('Run a federation on this machine: a server process and a process for each site.'),
  )
    .addOption(driverOption())
    .option('--listen <url>', 'where the server listens; by default a free port of this machine')
    .option('--site-config <file>', 'trainers and filters of every site (docs/site.md)')
    .option(
      '--relays <count>',
      'put so many relays between server and sites, which are shared out among them (docs/relay.md)',
      wholeNumber(1),
    )
    .option('--hold-out <percent>', "share of each site's data for evaluation only, in percent (built-in trainer)", wholeNumber(0), 0)
    .option('--resume <folder>', 'go on with a run that was stopped, from its last finished round')
    .addOption(dtypeOption())
    .addOption(kitOption())
    .addOption(eventsOption())
    .addOption(sinkOption())
    .option('--json', 'print the summary as JSON on standard output')
    .addHelpText('after', HELP)
    .action(simulate);
}

async function simulate(options: SimulateOptions): Promise<void> {
  const kit = await loadKit(options.kit);
  const sinks = await openEvents(options, kit.sinks);
  const { runPath, job, relays } = await findOrPrepare(options, kit);
  const lock = await lockSimulation(runPath);
  const reporter = eventReporter(job);
  const events = new SinkGroup({ progress: { emit: reporter.event, close: async () => {} }, ...sinks }, (name, { message }) =>
    reporter.line(`warning: events do not go to ${name} any more: ${message}`),
  );
  const finished = (await readJournal(nodeFolder(runPath))).at(-1)?.round ?? 0;
  reporter.line(`run ${runPath}${finished > 0 ? `, going on after round ${finished}` : ''}`);
  const places = relays
    ? `${Object.values(relays).flat().length} sites of ${siteNames(job).length} relays`
    : `${siteNames(job).length} sites`;
  reporter.line(`${places}, ${job.rounds} rounds, ${codingLabel(job.quantize)}, streaming ${job.streaming}`);
  const signal = stopSignal({
    supervised: false,
    onStop: () => reporter.line('stopping; what is finished is kept (Ctrl-C again: at once)'),
  });
  const base = job.model !== 'offered' && 'path' in job.model ? pathOfPlace(await startPlace(job.model)) : undefined;
  const network = await openLocalNetwork(options.listen, job, runPath);
  const swarm = workflowOf(job, kit).modelAtSites ? await openLocalSwarm(job, runPath) : undefined;
  try {
    await new Federation({
      runPath,
      job,
      relays,
      base,
      network,
      more: (site) => swarm?.siteArgs(site) ?? [],
      siteConfig: options.siteConfig,
      holdOut: options.holdOut,
      kit: options.kit,
      dtype: options.dtype,
      reporter,
      events,
      signal,
    }).run();
  } catch (error) {
    reporter.end();
    await conclude(runPath, job, events);
    say(
      `go on with: npx fedstream simulate --resume ${runPath}${options.holdOut > 0 ? ` --hold-out ${options.holdOut}` : ''}${kitAgain(options)}`,
    );
    throw signal.aborted ? new FedStreamError('aborted', `the run is kept in ${runPath}`) : error;
  } finally {
    swarm?.close();
    network.close();
    lock.release();
  }
  reporter.end();
  const summary = await conclude(runPath, job, events);
  for (const line of summaryLines(summary, runPath)) say(line);
  for (const [relay, report] of relays ? await relayReports(runPath, relays) : []) say(`${relay.padEnd(12)} ${report}`);
  if (options.json) process.stdout.write(`${jsonText(summary, 'the summary', 2)}\n`);
}

async function findOrPrepare(options: SimulateOptions, kit: Kit): Promise<{ runPath: string; job: Job; relays?: Tree | undefined }> {
  if (options.resume !== undefined) {
    const runPath = findRunFolder(options.resume);
    const job = await readRunJob(runPath, kit);
    checkSiteConfig(job, kit, options);
    return { runPath, job, relays: await readTree(runPath) };
  }
  const job = await loadJob(options.job, options, kit);
  checkSiteConfig(job, kit, options);
  const { modelAtSites: withoutModel = false } = workflowOf(job, kit);
  if (withoutModel && options.relays !== undefined)
    throw new FedStreamError('bad-argument', `--relays: the sites of ${job.workflow.type} meet each other; leave the relays out`);
  const relays = options.relays === undefined ? undefined : treeOf(job, options.relays);
  const data = await loadRunData(job, { onSkipped: options.strict ? undefined : say, withoutModel });
  const runPath = createRunFolder(options.out, options.name, 'simulate');
  const prepared = await prepareRun(job, runPath, data, say, { withoutModel });
  return { runPath, job: relays ? await writeTree(runPath, prepared, relays) : prepared, relays };
}

/**
 * Checks that the sites have the job's trainer before anything starts: every site of a simulation
 * has the same configuration.
 */
function checkSiteConfig({ trainer }: Job, kit: Kit, { siteConfig }: SimulateOptions): void {
  const config = siteConfig === undefined ? undefined : readSiteConfig(siteConfig, kit.filters);
  const inKit = kit.trainers.some(({ name }) => name === trainer?.name);
  if (trainer && !inKit) registeredTrainer(config, trainer.name);
}

/** Records this process's own memory, then writes summary and report. */
async function conclude(runPath: string, job: Job, events: SinkGroup) {
  const record = await openRunRecord(nodeFolder(runPath), { elapsedMs: () => 0, sinks: { events } });
  record.emit({ type: 'memory', process: 'simulator', ...processMemory() });
  await record.close();
  return finishRun(runPath, job, 'fedstream simulate');
}

interface FederationOptions {
  readonly runPath: string;
  readonly job: Job;
  /** The sites of each relay, which are the sites of the server then; undefined for a star. */
  readonly relays: Tree | undefined;
  /** The path of the model that the job begins with, which every site has here. */
  readonly base: string | undefined;
  readonly network: LocalNetwork;
  /** Further arguments of a site's process. */
  more(site: string): readonly string[];
  readonly siteConfig: string | undefined;
  /** In percent. */
  readonly holdOut: number;
  readonly kit: string | undefined;
  readonly dtype: string | undefined;
  readonly reporter: EventReporter;
  /** Sinks of the server's events. */
  readonly events: SinkGroup;
  readonly signal: AbortSignal;
}

/** The processes of one simulation: a server and its sites. */
class Federation {
  readonly #options: FederationOptions;
  readonly #children: Supervised[] = [];
  /** The networks of the relays. */
  readonly #networks: LocalNetwork[] = [];
  #running = false;
  #over = false;
  #fatal: FedStreamError | undefined;

  constructor(options: FederationOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { signal, runPath } = this.#options;
    const server = this.#server();
    const stop = (): void => {
      for (const child of this.#children) child.stop();
      setTimeout(() => {
        for (const child of this.#children) child.kill();
      }, STOP_MS).unref();
    };
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    const code = await server.exited;
    this.#over = true;
    if (code !== EXIT.ok) stop();
    await Promise.all(this.#children.map((child) => child.exited));
    for (const network of this.#networks) network.close();
    if (this.#fatal) throw this.#fatal;
    if (code !== EXIT.ok && !signal.aborted)
      throw new FedStreamError(
        'closed',
        `the server ended (${code}): ${lastLine(server) || `see ${runPath}/logs/server.log`}${this.#words()}`,
      );
    signal.throwIfAborted();
  }

  /** The sites' own words about their failures: they are told here alone, and never to the server. */
  #words(): string {
    const failures = this.#children.flatMap(({ name, lastLines }) => {
      const said = lastLines()
        .split('\n')
        .findLast((line) => line.startsWith(`${name}: `));
      return said === undefined ? [] : [`at ${name} ${said.slice(name.length + 2)}`];
    });
    return failures
      .slice(0, MOST_WORDS)
      .map((words) => `; ${words}`)
      .join('');
  }

  #server(): Supervised {
    const { runPath, network, dtype, kit } = this.#options;
    const command = [process.execPath, BIN, 'server', '--run', runPath, '--listen', network.url, ...network.serverArgs, '--supervised'];
    if (dtype !== undefined) command.push('--dtype', dtype);
    if (kit !== undefined) command.push('--kit', kit);
    return this.#start('server', command, (line) => {
      const parsed = JSON.parse(line) as { listening?: string };
      if (parsed.listening !== undefined) this.#join(parsed.listening);
      else {
        const event = parseEventLine(line, 'the server');
        // In a tree the first round begins before the relays' own sites are there.
        if (event.type === (this.#options.relays ? 'step' : 'round-started')) this.#running = true;
        this.#options.events.emit(event);
      }
    });
  }

  #join(url: string): void {
    const { relays, job, network } = this.#options;
    if (!relays) for (const site of siteNames(job)) this.#site(site, url, network);
    else
      for (const [relay, sites] of Object.entries(relays)) void this.#relay(relay, sites, url).catch((error: unknown) => this.#end(error));
  }

  /** Starts a relay; its sites follow once it listens. */
  async #relay(relay: string, sites: readonly string[], url: string): Promise<void> {
    const { runPath, job, network, siteConfig } = this.#options;
    const below = await openLocalNetwork(undefined, { ...job, sites: [...sites] }, join(runPath, 'sites', relay));
    this.#networks.push(below);
    // Its sites are told of the job that it joins, so it listens only then.
    const command = [process.execPath, BIN, 'relay', '--connect', url, '--name', relay, '--sites', sites.join(','), '--listen', below.url];
    command.push(
      ...below.serverArgs.map((arg) => arg.replace(/^--tls-/, '--listen-tls-')),
      ...this.#common(relay),
      ...network.siteArgs(relay),
    );
    if (siteConfig !== undefined) command.push('--site-config', siteConfig);
    this.#joining(relay, command, (line) => {
      const { listening } = JSON.parse(line) as { listening: string };
      for (const site of sites) this.#site(site, listening, below);
    });
  }

  #site(site: string, url: string, network: LocalNetwork): void {
    const { runPath, job, siteConfig, holdOut } = this.#options;
    const command = [process.execPath, BIN, 'client', '--connect', url, '--site', site, '--data', siteData(runPath, job, site)];
    command.push('--threads', '1', '--simulated', ...this.#common(site), ...network.siteArgs(site), ...this.#options.more(site));
    if (holdOut > 0) command.push('--hold-out', String(holdOut));
    if (siteConfig !== undefined) command.push('--site-config', siteConfig);
    if (existsSync(validationPath(runPath))) command.push('--validation', validationPath(runPath));
    this.#joining(site, command);
  }

  /** The options that sites and relays share. */
  #common(name: string): string[] {
    const { runPath, base, kit } = this.#options;
    const common = ['--work', join(runPath, 'sites', name), '--log', join(runPath, 'logs', `${name}.log`), '--supervised'];
    if (kit !== undefined) common.push('--kit', kit);
    if (base !== undefined) common.push('--base', base);
    return common;
  }

  #joining(name: string, command: readonly string[], onLine?: (line: string) => void): void {
    const child = this.#start(name, command, onLine);
    void child.exited.then((code) => this.#siteEnded(child, code));
  }

  /** Ends the simulation by an error of its own. */
  #end(error: unknown): void {
    this.#fatal ??= asFedStreamError(error);
    for (const child of this.#children) child.stop();
  }

  /**
   * Ends the simulation if a site is lost before the first round, since no round can begin without
   * it. From then on the server decides what a lost site means.
   */
  #siteEnded(child: Supervised, code: number | string): void {
    if (this.#over || this.#options.signal.aborted || code === EXIT.ok) return;
    const what = `${child.name} ended (${code}): ${lastLine(child) || `see ${this.#options.runPath}/logs/${child.name}.log`}`;
    this.#options.reporter.line(`warning: ${what}`);
    if (this.#running || this.#fatal) return;
    this.#end(new FedStreamError('closed', `${what}${this.#words()}`));
  }

  #start(name: string, command: readonly string[], onLine?: (line: string) => void): Supervised {
    const child = supervise({ name, command, logFile: join(this.#options.runPath, 'logs', `${name}.stderr.log`), onLine });
    this.#children.push(child);
    return child;
  }
}

/** The last error line of a child, without the program's name. */
function lastLine(child: Supervised): string {
  return (
    child
      .lastLines()
      .split('\n')
      .findLast((line) => line.startsWith('fedstream: ')) ?? ''
  ).replace('fedstream: ', '');
}
