// `fedstream relay`: a site that is itself a server of sites; one update goes up for all of them.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { asFedStreamError, FedStreamError } from '../../core/errors.js';
import { jsonText } from '../../core/json-text.js';
import { MAX_STRIPES } from '../../driver/stripe-join.js';
import { RELAY_FEATURE } from '../../frame/hello.js';
import { nodeCodecs } from '../../node/codec/codecs.js';
import { checkWebOptions } from '../../node/drivers/web-rules.js';
import { fileLogger } from '../../node/process/log-file.js';
import { processMemory } from '../../node/process/memory.js';
import { stopSignal } from '../../node/process/stop-signal.js';
import { folderBase } from '../../node/run/base-folder.js';
import { checkWritable } from '../../node/storage/check-writable.js';
import { nodeFolder } from '../../node/storage/node-folder.js';
import { runTokenFiles } from '../../node/tls/token-files.js';
import { readSiteConfig, type SiteConfig } from '../../node/trainer/site-config.js';
import { checkOwnSites } from '../../relay/job-below.js';
import { runRelayClient } from '../../relay/relay.js';
import { failureWords } from '../../site/disk-fault.js';
import { NO_LEAST } from '../../site/limits.js';
import { siteLink } from '../../site/site-link.js';
import { addConnectionOptions, type ConnectionOptions, clientConnecting, serverConnecting, tokensOption } from '../connection-options.js';
import { FailedRounds } from '../failed-rounds.js';
import { type KitOptions, kitOption, loadKit } from '../kit-file.js';
import { duration, named, repeated, wholeNumber } from '../options.js';
import { RelayRecord } from '../relay-record.js';
import { joinLines, makeRunTokens } from '../run-tokens.js';
import { say as sayAloud } from '../say.js';
import { lockWork } from '../work-locks.js';

interface RelayOptions extends ConnectionOptions, KitOptions {
  readonly connect: string;
  readonly name: string;
  readonly sites: readonly string[];
  readonly listen?: readonly string[];
  readonly listenTlsCert?: string;
  readonly listenTlsKey?: string;
  readonly listenTlsCa?: string;
  readonly allowHost?: readonly string[];
  readonly allowOrigin?: readonly string[];
  readonly quorum?: number;
  readonly run?: string;
  readonly siteConfig?: string;
  readonly base?: readonly string[];
  readonly work?: string;
  readonly retry?: number;
  readonly log?: string;
  readonly supervised?: boolean;
}

const HELP = `
Examples:
  $ fedstream relay --connect tcps://server:9000 --token-file north.token --name north --sites a,b,c \\
      --listen tcps://0.0.0.0:9001 --tokens north-tokens.json --tls-ca ca.crt --tls-cert north.crt --tls-key north.key
  $ fedstream relay --connect tcp://127.0.0.1:9000 --token-file north.token --name north --sites a,b,c
                                                    port 9001 of this machine alone; it makes tokens and says how its sites join
  $ fedstream client --connect tcps://north:9001 --tls-ca ca.crt --token-file a.token --site a --data a.jsonl     a site of it
  $ fedstream simulate --sites 9 --relays 3         a tree on this machine, to try it

To the server a relay is one site of the job, by its own name and token. Its own sites, and their tokens (fedstream token), are known
to it alone. It takes the job from the server; what its sites answer is averaged here, and one update goes up.
Killed or stopped, the same command goes on, and asks nobody twice.
`;

/** The subcommand `relay`. */
export function relayCommand(): Command {
  const command = new Command('relay').description('Run a site that is itself a server of sites: one update goes up for all of them.');
  return addConnectionOptions(command)
    .requiredOption('--connect <url>', 'the server above: tcps://host:port, wss://host/path, … or another relay')
    .requiredOption('--name <name>', "this relay's name, as the job above has it among its sites", named)
    .requiredOption('--sites <names>', 'its own sites, with commas between them; once or several times', siteNames)
    .option('--token-file <file>', "this relay's token for the server above (fedstream token)")
    .option('--listen <url>', 'where its own sites connect, once or several times; by default port 9001 of this machine alone', repeated)
    .addOption(tokensOption())
    .option('--listen-tls-cert <file>', 'the certificate shown to its own sites; by default --tls-cert')
    .option('--listen-tls-key <file>', 'the key of that certificate')
    .option('--listen-tls-ca <file>', "the authority of its own sites' certificates; by default --tls-ca")
    .option('--allow-host <name>', 'a name by which requests over HTTP may call this relay, once or several times', repeated)
    .option('--allow-origin <origin>', 'an origin whose pages may connect, once or several times; by default no page may', repeated)
    .option('--quorum <count>', 'results of its own sites that a round needs; by default two thirds, rounded up', wholeNumber(1))
    .option('--run <name>', 'the run to join, where the server above has several', named)
    .option('--site-config <file>', 'filters and limits on all that goes up, and what is shared (docs/site.md)')
    .option('--base <folder...>', 'a model that is here already: a run that begins with it does not send it to this relay')
    .option('--work <folder>', 'where models and answers are kept, for each run by itself; by default fedstream-<name>')
    .option('--stripes <count>', 'connections that share the traffic to the server above', wholeNumber(1, MAX_STRIPES))
    .option('--retry <duration>', 'how long the server above is looked for, each time: 30s, 10m, 2h, forever. By default 10m', duration)
    .option('--log <file>', 'log file; by default relay.log in the work folder')
    .addOption(kitOption())
    .addOption(new Option('--supervised', 'ends with its parent').hideHelp())
    .addHelpText('after', HELP)
    .action(relay);
}

/** Parses `a,b,c`, and adds to what was given before. */
function siteNames(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, ...value.split(',').map((name) => named(name.trim()))];
}

async function relay(options: RelayOptions): Promise<void> {
  const { name, sites, quorum, supervised = false } = options;
  const say = (line: string): void => sayAloud(`${name}: ${line}`);
  checkOwnSites({ sites, quorum });
  const urls = options.listen ?? ['tcp://127.0.0.1:9001'];
  const work = resolve(options.work ?? `fedstream-${name}`);
  const up = clientConnecting(options.connect, name, options);
  const { verifiers } = runTokenFiles(work);
  const below = serverConnecting(urls, belowOptions(options), existsSync(verifiers) ? verifiers : undefined);
  const web = { hosts: options.allowHost, origins: options.allowOrigin };
  checkWebOptions(web);
  const kit = await loadKit(options.kit);
  const codecs = nodeCodecs(kit.codecs);
  const config = options.siteConfig === undefined ? undefined : readSiteConfig(options.siteConfig, kit.filters);
  const bases = await Promise.all((options.base ?? []).map((base) => folderBase(base)));
  await checkWritable(work, '--work');
  const locks = await lockWork(work, { ...options, site: name });
  const folder = nodeFolder(work);
  const logFile = options.log ?? join(work, 'relay.log');
  const log = fileLogger(logFile, { name });
  const tokens = below.tokens === 'make' ? await makeRunTokens(work, sites) : below.tokens;
  const onStop = (): void => {
    if (!supervised) say('stopping; the same command goes on from where it was');
  };
  const signal = stopSignal({ supervised, onStop });
  const policy = policyOf(config);
  const link = siteLink({
    site: name,
    run: options.run,
    features: [RELAY_FEATURE],
    driver: up.driver,
    credentials: up.credentials,
    url: options.connect,
    codecs,
    filters: kit.filters,
    folder,
    diskBytes: config?.diskBytes,
    places: locks,
    retryMs: options.retry ?? config?.retryMs,
    log,
    signal,
    share: policy.share,
  });
  const onListening = (url: string): void => {
    log.info({ url }, 'listening');
    if (supervised) {
      process.stdout.write(`${jsonText({ listening: url }, 'an address')}\n`);
      return;
    }
    say(`joined the job; listening on ${url}; log ${logFile}`);
    if (below.tokens === 'make') for (const line of joinLines(url, work, sites)) say(line);
  };
  const failures = new FailedRounds();
  const record = new RelayRecord({ name, work, supervised, log });
  let ended: FedStreamError | undefined;
  try {
    const reason = await runRelayClient({
      site: name,
      sites,
      quorum,
      link,
      listeners: urls.map((url) => ({ driver: below.driver, url })),
      web,
      admission: { tokens },
      folder,
      codecs,
      filters: kit.filters,
      log,
      signal,
      memory: processMemory,
      bases,
      policy: { ...policy, table: kit.filters },
      onFailure: (failure, task) => {
        failures.failed(failure, task);
        say(failureWords(failure));
      },
      onDone: (task) => failures.done(task),
      openRecord: (begun) => record.open(begun),
      onListening,
    });
    record.finished(reason);
    const failed = failures.error(reason);
    if (failed) throw failed;
    if (!supervised) say(`done: ${reason}`);
  } catch (error) {
    ended = asFedStreamError(signal.aborted ? signal.reason : error);
    log.error({ code: ended.code }, ended.message);
    throw ended;
  } finally {
    await link.close(ended);
    const report = await record.close();
    if (report !== undefined && !supervised) say(`report ${report}`);
    log.close();
    locks.release();
  }
}

/** The options of the side where the relay is a server. */
function belowOptions({ listenTlsCert, listenTlsKey, listenTlsCa, tlsCert, tlsKey, tlsCa, tokens, allowPlainText }: RelayOptions) {
  if ((listenTlsCert === undefined) !== (listenTlsKey === undefined))
    throw new FedStreamError('bad-argument', '--listen-tls-cert and --listen-tls-key go together');
  const own = listenTlsCert === undefined ? { tlsCert, tlsKey } : { tlsCert: listenTlsCert, tlsKey: listenTlsKey };
  return { ...own, tlsCa: listenTlsCa ?? tlsCa, tokens, allowPlainText };
}

/** The rules of the relay's owner. Its sites check for themselves what a job asks of their data. */
function policyOf({ filters = [], limits = {}, share }: Partial<SiteConfig> = {}) {
  return { filters, share, limits: { ...NO_LEAST, ...limits } };
}
