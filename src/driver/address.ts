// The addresses of drivers: `scheme://host:port/path`.
import { FedStreamError } from '../core/errors.js';

/** An address, taken apart. */
export interface HostAddress {
  readonly url: string;
  /** Without the brackets of an IPv6 address. */
  readonly host: string;
  readonly port: number;
  /** Begins with a slash, or is empty. */
  readonly path: string;
}

/** The rules of one scheme. */
export interface AddressRules {
  /** The port of a URL without one; if this is missing, the URL must have a port. */
  readonly defaultPort?: number;
  /** True if a path may follow, as reverse proxies need it. */
  readonly path?: boolean;
}

/**
 * Takes a URL apart. Throws `bad-argument`, with an example, unless it has this scheme and a host.
 * With port 0 the system chooses one.
 */
export function parseAddress(url: string, scheme: string, rules: AddressRules = {}): HostAddress {
  const match = /^([a-z]+):\/\/(\[[0-9a-fA-F:.]+\]|[^\s/:[\]?#@]+)(?::(\d{1,5}))?(\/[^\s?#]*)?$/.exec(url);
  const [, found, host = '', digits, path = ''] = match ?? [];
  const port = digits === undefined ? rules.defaultPort : Number(digits);
  if (found !== scheme || port === undefined || port > 65_535 || (path.length > 1 && !rules.path))
    throw new FedStreamError(
      'bad-argument',
      `${JSON.stringify(url)} is not an address; write ${scheme}://host:port, such as ${scheme}://127.0.0.1:9000`,
    );
  return { url, host: host.replace(/^\[|\]$/g, ''), port, path: path.replace(/\/+$/, '') };
}

/** The URL of an address with the port that it really has. */
export function addressUrl(scheme: string, { host, path }: HostAddress, port: number): string {
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}${path}`;
}
