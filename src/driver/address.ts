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

const WEB_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443, ws: 80, wss: 443 };

/** The rules of a scheme: those of the web have a port of their own, and paths. */
export function addressRules(scheme: string): AddressRules {
  const defaultPort = WEB_PORTS[scheme];
  return defaultPort === undefined ? {} : { defaultPort, path: true };
}

/**
 * Takes a URL apart. Throws `bad-argument`, with an example, unless it has this scheme and a host.
 * With port 0 the system chooses one.
 */
export function parseAddress(url: string, scheme: string, rules: AddressRules = addressRules(scheme)): HostAddress {
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
