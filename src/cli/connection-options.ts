// Options that say how server and sites are connected, and how they prove who they are.
import { type Command, Option } from 'commander';
import { FedStreamError } from '../core/errors.js';
import type { Driver } from '../driver/driver.js';
import { isExposed, isSecured, SCHEMES } from '../driver/scheme.js';
import { striped } from '../driver/striped.js';
import { nodeDrivers } from '../node/drivers/node-drivers.js';
import { readTlsFiles, readTokenFile } from '../node/tls/tls-files.js';

export interface ConnectionOptions {
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  readonly tokenFile?: string;
  readonly allowPlainText?: boolean;
  /** A site's: so many connections carry its session. */
  readonly stripes?: number;
}

/** A driver with the TLS of the options, for every URL, and the token. */
export interface Connecting {
  readonly driver: Driver;
  readonly token: string | undefined;
}

export function addConnectionOptions(command: Command): Command {
  return command
    .option('--tls-cert <file>', "this side's certificate, PEM")
    .option('--tls-key <file>', 'the key of that certificate, PEM')
    .option('--tls-ca <file>', "the authority that has signed the other side's certificate, PEM")
    .option('--token-file <file>', 'a secret that proves the names of sites without a certificate')
    .option('--allow-plain-text', 'let everything travel unencrypted over a network that you trust');
}

export function driverOption(): Option {
  return new Option('--driver <name>', 'how server and sites are connected').choices([...SCHEMES]);
}

/** For a server on these URLs: plain text is asked for, and where TLS is, sites prove who they are, whichever way they come. */
export function serverConnecting(urls: readonly string[], options: ConnectionOptions): Connecting {
  for (const url of urls) checkPlainText(url, 'listen on', options);
  const { ca, ...own } = readTlsFiles(filesOf(options));
  const token = options.tokenFile === undefined ? undefined : readTokenFile(options.tokenFile);
  if (urls.some(isSecured) && token === undefined) {
    if (ca === undefined)
      throw new FedStreamError(
        'bad-argument',
        `anybody could call himself a site of this run: give the authority of the sites' certificates (--tls-ca), a token (--token-file), or both`,
      );
    const open = urls.find((url) => !isSecured(url));
    if (open !== undefined)
      throw new FedStreamError(
        'bad-argument',
        `anybody could call himself a site of this run over ${open}, where no certificates are: give a token (--token-file), or listen inside TLS alone`,
      );
  }
  // Sites decide on stripes; a server takes them all.
  return { driver: striped(nodeDrivers({ ...own, ca, certificateOptional: token !== undefined }), 1), token };
}

/** For a site that connects to this URL. */
export function clientConnecting(url: string, options: ConnectionOptions): Connecting {
  checkPlainText(url, 'connect to', options);
  const token = options.tokenFile === undefined ? undefined : readTokenFile(options.tokenFile);
  return { driver: striped(nodeDrivers(readTlsFiles(filesOf(options))), options.stripes ?? 1), token };
}

function filesOf({ tlsCert, tlsKey, tlsCa }: ConnectionOptions) {
  return { cert: tlsCert, key: tlsKey, ca: tlsCa };
}

function checkPlainText(url: string, doing: string, { allowPlainText = false }: ConnectionOptions): void {
  if (allowPlainText || !isExposed(url)) return;
  throw new FedStreamError(
    'bad-argument',
    `whoever is on the network could read and change what goes over ${url}: ${doing} tcps:// (or wss, https, grpcs), or say --allow-plain-text where all of it can be trusted`,
  );
}
