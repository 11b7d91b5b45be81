// A site's ways to the other sites of a swarm, from its options and its configuration.
import { join } from 'node:path';
import type { Command } from 'commander';
import { FedStreamError } from '../core/errors.js';
import type { Driver } from '../driver/driver.js';
import { isExposed, isSecured, schemeOf } from '../driver/scheme.js';
import { nodeDrivers } from '../node/drivers/node-drivers.js';
import { swarmCertificate } from '../node/tls/swarm-certificate.js';
import type { SiteConfig } from '../node/trainer/site-config.js';
import type { SwarmListening, SwarmOptions } from '../swarm/options.js';
import { repeated } from './options.js';

/** Values of the options. */
export interface SwarmSiteOptions {
  readonly swarmListen?: string;
  readonly swarmAddress?: string;
  readonly swarmAllow?: readonly string[];
  readonly allowPlainText?: boolean;
}

/** Adds the options. */
export function addSwarmOptions(command: Command): Command {
  return command
    .option(
      '--swarm-listen <url>',
      'in a swarm, where this site listens when it is the aggregator: tcps://0.0.0.0:9100; without it, it never is',
    )
    .option('--swarm-address <url>', 'where other sites reach that; by default the same URL')
    .option('--swarm-allow <host>', 'a host that this site connects to when it is the aggregator, once or several times', repeated);
}

/** What the options say; `bad-argument` where the others could not use it. */
export async function swarmSite(
  options: SwarmSiteOptions,
  config: SiteConfig | undefined,
  work: string,
): Promise<Pick<SwarmOptions, 'listen' | 'allow' | 'driverFor'>> {
  const { listen: url = undefined, address, allow = [] } = config?.swarm ?? {};
  return {
    listen: await listening(options.swarmListen ?? url, options.swarmAddress ?? address, options, work),
    allow: options.swarmAllow ?? allow,
    driverFor: (certificate) => plainOnlyWhereAllowed(nodeDrivers({ ca: certificate }), options),
  };
}

async function listening(
  url: string | undefined,
  given: string | undefined,
  options: SwarmSiteOptions,
  work: string,
): Promise<SwarmListening | undefined> {
  if (url === undefined) {
    if (given === undefined) return undefined;
    throw new FedStreamError('bad-argument', `--swarm-address ${given} needs --swarm-listen, which says where this site listens`);
  }
  const address = given ?? url;
  const host = hostOf(address);
  if (schemeOf(address) !== 'uds' && (/^(0\.0\.0\.0|::|)$/.test(host) || /:0(\/|$)/.test(address)))
    throw new FedStreamError(
      'bad-argument',
      `no other site can connect to ${address}: give a host and a port of this site's own (--swarm-address)`,
    );
  checkPlain(url, 'listen on', options);
  if (!isSecured(url)) return { driver: nodeDrivers(), url, address };
  const { cert, key, ca } = await swarmCertificate(join(work, 'swarm-certificate'), host);
  return { driver: nodeDrivers({ cert, key }), url, address, certificate: ca };
}

function hostOf(url: string): string {
  return (/^[a-z]+:\/\/(\[[^\]]*\]|[^:/]*)/.exec(url)?.[1] ?? '').replace(/^\[(.*)\]$/, '$1');
}

/** Addresses come from other sites: what may not cross the network in the clear is refused where it connects. */
function plainOnlyWhereAllowed(driver: Driver, options: SwarmSiteOptions): Driver {
  return {
    ...driver,
    connect: async (url, more) => {
      checkPlain(url, 'connect to', options);
      return driver.connect(url, more);
    },
  };
}

function checkPlain(url: string, doing: string, { allowPlainText = false }: SwarmSiteOptions): void {
  if (allowPlainText || !isExposed(url)) return;
  throw new FedStreamError(
    'bad-argument',
    `anybody on the network could read and change the traffic of ${url}: ${doing} tcps:// (or wss, https, grpcs), or give --allow-plain-text if you trust the whole network`,
  );
}
