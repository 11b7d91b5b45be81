// Options that say how server and sites connect, and how they prove who they are.
import { type Command, Option } from 'commander';
import { FedStreamError } from '../core/errors.js';
import type { Driver } from '../driver/driver.js';
import { isExposed, isSecured, SCHEMES } from '../driver/scheme.js';
import { striped } from '../driver/striped.js';
import type { SiteCredentials } from '../frame/proof.js';
import { nodeDrivers } from '../node/drivers/node-drivers.js';
import { readTlsFiles } from '../node/tls/tls-files.js';
import { readTokenFile, readTokenVerifiers, type TokenVerifiers } from '../node/tls/token-files.js';

/** Values of the options that secure a connection. */
export interface ConnectionOptions {
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  /** For sites: the file of the site's own token. */
  readonly tokenFile?: string;
  /** For servers: the file of what it keeps of its sites' tokens. */
  readonly tokens?: string;
  readonly allowPlainText?: boolean;
  /** For sites: the number of connections that carry the session. */
  readonly stripes?: number;
}

/** A driver for every URL, with the TLS files of the options. */
export interface ServerConnecting {
  readonly driver: Driver;
  /**
   * What the server keeps of tokens; `make` where it must make some, since it has no credentials of
   * its sites at all.
   */
  readonly tokens: TokenVerifiers | 'make' | undefined;
}

/** A driver for every URL, with the TLS files of the options, and the site's token. */
export interface ClientConnecting {
  readonly driver: Driver;
  readonly credentials: SiteCredentials | undefined;
}

/** Adds the options of TLS and plain text, which server and site share. */
export function addConnectionOptions(command: Command): Command {
  return command
    .option('--tls-cert <file>', "this side's certificate, PEM")
    .option('--tls-key <file>', 'the key of that certificate, PEM')
    .option('--tls-ca <file>', "the authority that has signed the other side's certificate, PEM")
    .option('--allow-plain-text', 'let everything travel unencrypted over a network that you trust');
}

/** `--driver`. */
export function driverOption(): Option {
  return new Option('--driver <name>', 'how server and sites are connected').choices([...SCHEMES]);
}

/** `--tokens`, of a server. */
export function tokensOption(): Option {
  return new Option('--tokens <file>', 'what this server keeps of the tokens of its sites, as `fedstream token` writes it');
}

/** `--token-file` of a server of earlier versions, for the error that says what is in its place. */
export function sharedTokenOption(): Option {
  return new Option('--token-file <file>', 'replaced by --tokens').hideHelp();
}

/**
 * Driver and tokens of a server that listens on these URLs; `kept` is the file of tokens that its
 * run has already. Throws `bad-argument` where plain text would cross a network without
 * `--allow-plain-text`, and where a server that others can reach would let in a site that proves
 * its name neither by certificate nor by token, on any of its URLs.
 */
export function serverConnecting(urls: readonly string[], options: ConnectionOptions, kept?: string): ServerConnecting {
  if (options.tokenFile !== undefined)
    throw new FedStreamError(
      'bad-argument',
      'one token for all sites lets each of them be any other, so a server takes none (--token-file): make a token for each site with fedstream token --site NAME, and give the server what that writes: --tokens tokens.json',
    );
  for (const url of urls) checkPlainText(url, 'listen on', options);
  const { ca, ...own } = readTlsFiles(filesOf(options));
  const file = options.tokens ?? kept;
  const tokens = file === undefined ? undefined : readTokenVerifiers(file);
  if (tokens === undefined) checkProvable(urls, ca);
  // The sites decide how many stripes they use; a server takes any number.
  const driver = striped(nodeDrivers({ ...own, ca, certificateOptional: tokens !== undefined }), 1);
  return { driver, tokens: tokens ?? (ca === undefined ? 'make' : undefined) };
}

/** Without tokens, each site needs a certificate, or must be on this machine. */
function checkProvable(urls: readonly string[], ca: string | undefined): void {
  const give = 'make a token for each site with fedstream token --site NAME, and give --tokens tokens.json';
  if (ca === undefined) {
    const reachable = urls.find((url) => isSecured(url) || isExposed(url));
    if (reachable === undefined) return;
    throw new FedStreamError(
      'bad-argument',
      `anybody could call himself a site of this run over ${reachable}: give the authority of the sites' certificates (--tls-ca), or ${give}`,
    );
  }
  const open = urls.find((url) => !isSecured(url));
  if (open !== undefined)
    throw new FedStreamError(
      'bad-argument',
      `no site could prove its name over ${open}, which has no certificates: ${give}; or listen inside TLS only`,
    );
}

/**
 * Driver and credentials of a site that connects to this URL. Throws `bad-argument` where plain text
 * would cross a network without `--allow-plain-text`, and as `readTokenFile` does.
 */
export function clientConnecting(url: string, site: string, options: ConnectionOptions): ClientConnecting {
  checkPlainText(url, 'connect to', options);
  const credentials = options.tokenFile === undefined ? undefined : readTokenFile(options.tokenFile, site);
  return { driver: striped(nodeDrivers(readTlsFiles(filesOf(options))), options.stripes ?? 1), credentials };
}

function filesOf({ tlsCert, tlsKey, tlsCa }: ConnectionOptions) {
  return { cert: tlsCert, key: tlsKey, ca: tlsCa };
}

function checkPlainText(url: string, doing: string, { allowPlainText = false }: ConnectionOptions): void {
  if (allowPlainText || !isExposed(url)) return;
  throw new FedStreamError(
    'bad-argument',
    `anybody on the network could read and change the traffic of ${url}: ${doing} tcps:// (or wss, https, grpcs), or give --allow-plain-text if you trust the whole network`,
  );
}
