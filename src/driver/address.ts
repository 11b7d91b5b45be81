// The addresses of drivers: `scheme://host:port/path`.
import { FedStreamError } from '../core/errors.js';

export interface HostAddress {
  readonly url: string;
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  /** Begins with a slash, or is empty. */
  readonly path: string;
}

export interface AddressRules {
  /** Where it is missing, the port must be given. */
  readonly defaultPort?: number;
  /** Whether a path may follow, as a reverse proxy needs it. */
  readonly path?: boolean;
}

/** `bad-argument`, with an example, unless the URL has this scheme and a host. Port 0 is a port that the system chooses. */
export function parseAddress(url: string, scheme: string, rules: AddressRules = {}): HostAddress {
  const match = /^([a-z]+):\/\/(\[[0-9a-fA-F:.]+\]|[^\s/:[\]?#@]+)(?::(\d{1,5}))?(\/[^\s?#]*)?$/.exec(url);
  const [, found, host = '', digits, path = ''] = match ?? [];
  const port = digits === undefined ? rules.defaultPort : Number(digits);
  if (found !== scheme || port === undefined || port > 65_535 || (path.length > 1 && !rules.path))
    throw new FedStreamError(
      'bad-argument',
      `${JSON.stringify(url)} is no address; write ${scheme}://host:port, such as ${scheme}://127.0.0.1:9000`,
    );
  return { url, host: host.replace(/^\[|\]$/g, ''), port, path: path.replace(/\/+$/, '') };
}

/** The URL of an address with the port that it really has. */
export function addressUrl(scheme: string, { host, path }: HostAddress, port: number): string {
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}${path}`;
}
