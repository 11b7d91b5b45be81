// Options that say how server and sites connect, and how they prove who they are.
import { type Command, Option } from 'commander';
import { FedStreamError } from '../core/errors.js';
import type { Driver } from '../driver/driver.js';
import { isExposed, isSecured, SCHEMES } from '../driver/scheme.js';
import { striped } from '../driver/striped.js';
import { nodeDrivers } from '../node/drivers/node-drivers.js';
import { readTlsFiles, readTokenFile } from '../node/tls/tls-files.js';

/** Values of the options that secure a connection. */
export interface ConnectionOptions {
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  readonly tokenFile?: string;
  readonly allowPlainText?: boolean;
  /** For sites: the number of connections that carry the session. */
  readonly stripes?: number;
}

/** A driver for every URL, with the TLS files of the options, and the token. */
export interface Connecting {
  readonly driver: Driver;
  readonly token: string | undefined;
}

/** Adds the options of TLS, token and plain text, which server and site share. */
export function addConnectionOptions(command: Command): Command {
  return command
    .option('--tls-cert <file>', "this side's certificate, PEM")
    .option('--tls-key <file>', 'the key of that certificate, PEM')
    .option('--tls-ca <file>', "the authority that has signed the other side's certificate, PEM")
    .option('--token-file <file>', 'a secret that proves the names of sites without a certificate')
    .option('--allow-plain-text', 'let everything travel unencrypted over a network that you trust');
}

/** `--driver`. */
export function driverOption(): Option {
  return new Option('--driver <name>', 'how server and sites are connected').choices([...SCHEMES]);
}

/**
 * Driver and token of a server that listens on these URLs. Throws `bad-argument` where plain text
 * would cross a network without `--allow-plain-text`, and where a server with TLS would let in a
 * site that proves its name neither by certificate nor by token, on any of its URLs.
 */
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
        `anybody could call himself a site of this run over ${open}, which has no certificates: give a token (--token-file), or listen inside TLS only`,
      );
  }
  // The sites decide how many stripes they use; a server takes any number.
  return { driver: striped(nodeDrivers({ ...own, ca, certificateOptional: token !== undefined }), 1), token };
}

/**
 * Driver and token of a site that connects to this URL. Throws `bad-argument` where plain text
 * would cross a network without `--allow-plain-text`.
 */
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
    `anybody on the network could read and change the traffic of ${url}: ${doing} tcps:// (or wss, https, grpcs), or give --allow-plain-text if you trust the whole network`,
  );
}
