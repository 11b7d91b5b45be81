// `fedstream server`: the server of a job; sites connect to it.
import { existsSync } from 'node:fs';
import { Command, Option } from 'commander';
import { FedStreamError } from '../../core/errors.js';
import { jsonText } from '../../core/json-text.js';
import { type Job, siteNames } from '../../job/job.js';
import { type Kit, workflowOf } from '../../kit/kit.js';
import { checkWebOptions } from '../../node/drivers/web-rules.js';
import { stopSignal } from '../../node/process/stop-signal.js';
import { loadRunData, prepareRun } from '../../node/run/prepare-run.js';
import { readRunJob } from '../../node/run/run-files.js';
import { createRunFolder, findRunFolder } from '../../node/run/run-folder.js';
import { runServerProcess } from '../../node/run/run-server.js';
import { runTokenFiles } from '../../node/tls/token-files.js';
import {
  addConnectionOptions,
  type ConnectionOptions,
  driverOption,
  serverConnecting,
  sharedTokenOption,
  tokensOption,
} from '../connection-options.js';
import { type EventOptions, eventsOption, openEvents, sinkOption } from '../event-options.js';
import { finishRun, summaryLines } from '../finish-run.js';
import { loadJob } from '../job-file.js';
import { addJobOptions, type JobOptions } from '../job-options.js';
import { type KitOptions, kitAgain, kitOption, loadKit } from '../kit-file.js';
import { dtypeOf, dtypeOption, repeated, wholeNumber } from '../options.js';
import { eventReporter } from '../progress.js';
import { lockServer } from '../run-locks.js';
import { joinLines, makeRunTokens } from '../run-tokens.js';
import { say } from '../say.js';

interface ServerOptions extends JobOptions, ConnectionOptions, EventOptions, KitOptions {
  readonly listen?: readonly string[];
  readonly allowHost?: readonly string[];
  readonly allowOrigin?: readonly string[];
  readonly resume?: string;
  readonly threads?: number;
  readonly dtype?: string;
  readonly run?: string;
  readonly supervised?: boolean;
}

const HELP = `
Examples:
  $ fedstream server --job job.json --listen tcps://0.0.0.0:9000 --tls-cert server.crt --tls-key server.key --tls-ca sites-ca.crt
  $ fedstream server --job job.json --listen ws://127.0.0.1:9000/fed --tokens tokens.json     behind a reverse proxy that has TLS
  $ fedstream server --job job.json --listen tcps://0.0.0.0:9000 --listen wss://0.0.0.0:9443 --tokens tokens.json \\
      --tls-cert server.crt --tls-key server.key --tls-ca sites-ca.crt                        data centres and browsers in one run
  $ fedstream server --job job.json --listen wss://0.0.0.0:9443 --tokens tokens.json --tls-cert server.crt --tls-key server.key \\
      --allow-origin https://lab.example.org                                                  pages of that server may join
  $ fedstream server --resume runs/latest --listen tcp://0.0.0.0:9000 --allow-plain-text      on a network that you trust

The data that the job names (or --data) stays on this machine: it trains the tokenizer, where the model has none, and a held-out
part of it evaluates the global model. Sites bring their own: fedstream client --data FILE.

Sites prove their names by certificates (--tls-ca) or tokens (--tokens, made by fedstream token). A server of this machine alone that is
given neither makes tokens in its run folder, and says how its sites join.
`;

/** The subcommand `server`. */
export function serverCommand(): Command {
  const command = addJobOptions(
    new Command('server').description('Run the server of a job: it sends the global model to its sites and combines what they learn.'),
  );
  return addConnectionOptions(command)
    .addOption(tokensOption())
    .addOption(sharedTokenOption())
    .addOption(driverOption())
    .option('--listen <url>', 'where sites connect, once or several times; by default port 9000 of this machine alone', repeated)
    .option(
      '--allow-host <name>',
      'a name by which requests over HTTP may call this server, once or several times: its public name',
      repeated,
    )
    .option('--allow-origin <origin>', 'an origin whose pages may connect, once or several times; by default no page may', repeated)
    .option('--resume <folder>', 'go on with a run that was stopped')
    .option('--threads <count>', 'threads that evaluate the global model', wholeNumber(1))
    .addOption(dtypeOption())
    .addOption(kitOption())
    .addOption(eventsOption())
    .addOption(sinkOption())
    .option('--json', 'print the summary as JSON on standard output')
    .addOption(new Option('--run <folder>', 'a prepared run').hideHelp())
    .addOption(new Option('--supervised', 'events on standard output, ends with its parent').hideHelp())
    .addHelpText('after', HELP)
    .action(serve);
}

async function serve(options: ServerOptions): Promise<void> {
  const supervised = options.supervised ?? false;
  const kit = await loadKit(options.kit);
  const found = await findJob(options, kit);
  const urls = options.listen ?? [defaultUrl(found.job)];
  // Wrong options are found before a run folder is made.
  const connecting = serverConnecting(urls, options, found.tokens);
  const web = { hosts: options.allowHost, origins: options.allowOrigin };
  checkWebOptions(web);
  const sinks = await openEvents(options, kit.sinks);
  const { runPath, job } = await found.prepare();
  const lock = lockServer(runPath, supervised);
  const { driver } = connecting;
  const tokens = connecting.tokens === 'make' ? await makeRunTokens(runPath, siteNames(job)) : connecting.tokens;
  const onStop = (): void => {
    if (!supervised) say('stopping; what is finished is kept (Ctrl-C again: at once)');
  };
  const signal = stopSignal({ supervised, onStop });
  const write = (value: unknown): void => void process.stdout.write(`${jsonText(value, 'an event')}\n`);
  const reporter = supervised ? undefined : eventReporter(job);
  const onListening = (url: string): void => {
    if (supervised) write({ listening: url });
    else {
      say(`listening on ${url}; run folder ${runPath}`);
      if (connecting.tokens === 'make') for (const line of joinLines(url, runPath, siteNames(job))) say(line);
    }
  };
  try {
    const onEvent = supervised ? write : (reporter?.event ?? write);
    await runServerProcess({
      runPath,
      job,
      kit,
      listeners: urls.map((url) => ({ driver, url })),
      web,
      tokens,
      threads: options.threads,
      dtype: dtypeOf(options.dtype),
      signal,
      onListening,
      onEvent,
      sinks,
    });
  } catch (error) {
    if (!supervised)
      say(
        `go on with: npx fedstream server --resume ${runPath} ${urls.map((url) => `--listen ${url}`).join(' ')}${tokensAgain(options)}${kitAgain(options)}`,
      );
    throw error;
  } finally {
    reporter?.end();
    if (!supervised) await finishRun(runPath, job, `fedstream server --job ${options.job ?? 'job.json'}`);
    lock.release();
  }
  if (supervised) return;
  const summary = await finishRun(runPath, job, `fedstream server --job ${options.job ?? 'job.json'}`);
  for (const line of summaryLines(summary, runPath)) say(line);
  if (options.json) process.stdout.write(`${jsonText(summary, 'the summary', 2)}\n`);
}

/** The option that gives the same tokens again; those of the run's own folder need none. */
function tokensAgain({ tokens }: ServerOptions): string {
  return tokens === undefined ? '' : ` --tokens ${tokens}`;
}

function defaultUrl({ driver }: Job): string {
  if (driver !== 'uds') return `${driver}://127.0.0.1:9000`;
  throw new FedStreamError('bad-argument', 'give the path of the socket: --listen uds:///absolute/path');
}

interface Found {
  readonly job: Job;
  /** The tokens that the run has in its own folder, if it was started before. */
  readonly tokens?: string | undefined;
  /** Makes the run folder and fills in the fields that the job left open. */
  prepare(): Promise<{ runPath: string; job: Job }>;
}

async function findJob(options: ServerOptions, kit: Kit): Promise<Found> {
  const existing = options.run ?? options.resume;
  if (existing !== undefined) {
    const runPath = findRunFolder(existing);
    const job = await readRunJob(runPath, kit);
    const { verifiers } = runTokenFiles(runPath);
    return { job, tokens: existsSync(verifiers) ? verifiers : undefined, prepare: async () => ({ runPath, job }) };
  }
  const job = await loadJob(options.job, options, kit);
  if (!job.trainer && 'files' in job.data)
    throw new FedStreamError(
      'bad-job',
      'data.files are the sites’ own; give the server data of its own for tokenizer and evaluation: --data FILE',
    );
  const prepare = async () => {
    const { modelAtSites: withoutModel = false } = workflowOf(job, kit);
    // Sites with a trainer of their own bring all the data.
    const data = job.trainer
      ? { bySite: new Map(), validation: [] }
      : await loadRunData(job, { onSkipped: options.strict ? undefined : say, withoutModel });
    const runPath = createRunFolder(options.out, options.name, 'server');
    return { runPath, job: await prepareRun(job, runPath, data, say, { withoutModel }) };
  };
  return { job, prepare };
}
