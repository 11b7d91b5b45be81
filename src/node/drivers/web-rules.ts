// The host, the path and the origin of a request over HTTP: a page of anybody must not reach a
// server through the browser of somebody who can.
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { BUDGETS } from '../../core/budgets.js';
import { FedStreamError } from '../../core/errors.js';
import type { DriverOptions } from '../../driver/driver.js';
import type { TlsMaterial } from './tls.js';

/** A request to check: its headers, and its path without a query. */
export interface WebRequest {
  /** `Host` of HTTP/1.1, `:authority` of HTTP/2; undefined where there is none. */
  readonly host: string | undefined;
  readonly origin: string | undefined;
  /** The number of header fields; those beyond the budget are not known. */
  readonly fields?: number;
  /** `Sec-Fetch-Site`, which browsers send where they send no origin. */
  readonly site?: string | undefined;
}

/** The refusal of a request: its HTTP status, and the reason for the log. */
export interface WebRefusal {
  readonly status: 403 | 421 | 431;
  readonly why: string;
}

/** The rules of one listener. */
export class WebRules {
  readonly #names: ReadonlySet<string>;
  readonly #endings: readonly string[];
  readonly #origins: ReadonlySet<string>;

  /**
   * Takes the host of the listener's URL, and its certificate. Throws `bad-argument` for an option
   * that is neither a host nor an origin.
   */
  constructor(host: string, { hosts = [], origins = [] }: DriverOptions, material?: TlsMaterial) {
    const names = [host, 'localhost', hostname(), ...hosts.map(checkedHost), ...certificateHosts(material)].map(plainName);
    this.#names = new Set(names.filter((name) => !name.startsWith('*.')));
    this.#endings = names.filter((name) => name.startsWith('*.')).map((name) => name.slice(1));
    this.#origins = new Set(origins.map(checkedOrigin));
  }

  /** True if pages of this origin may connect. */
  allowsOrigin(origin: string): boolean {
    return this.#origins.has(origin);
  }

  /** Undefined for a request that may be answered. */
  refusal({ host, origin, site, fields = 0 }: WebRequest): WebRefusal | undefined {
    if (fields >= BUDGETS.headFields.limit) return { status: 431, why: 'it sent a request with too many header fields' };
    if (origin !== undefined && !this.allowsOrigin(origin))
      return { status: 403, why: `it is a page of ${shown(origin)}; to let its pages in, give --allow-origin ${shown(origin)}` };
    if (origin === undefined && (site === 'cross-site' || site === 'same-site'))
      return { status: 403, why: 'it is a page of another server, whose origin its browser does not tell' };
    if (host !== undefined && !this.#allowsHost(host))
      return {
        status: 421,
        why: `it asked for the host ${shown(host)}; if that is a name of this server, give --allow-host ${shown(nameIn(host))}`,
      };
    return undefined;
  }

  /** An address instead of a name is no trick: only a name can be made to point elsewhere. */
  #allowsHost(host: string): boolean {
    const name = plainName(nameIn(host));
    if (isIP(name) !== 0 || this.#names.has(name)) return true;
    return this.#endings.some(
      (ending) => name.endsWith(ending) && !name.slice(0, -ending.length).includes('.') && name.length > ending.length,
    );
  }
}

/** Throws `bad-argument` for a name that is no host, and an origin that is none. */
export function checkWebOptions(options: Pick<DriverOptions, 'hosts' | 'origins'>): void {
  new WebRules('localhost', options);
}

/** The host without its port. */
function nameIn(host: string): string {
  return host.replace(/:\d*$/, '');
}

/** A name as it is compared: lower case, without the brackets of IPv6 and the dot of the root. */
function plainName(name: string): string {
  return name
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '');
}

/** Text of a stranger as it stands in a line of the log. */
function shown(text: string): string {
  return text.slice(0, 200).replaceAll(/[^\x21-\x7e]/g, '?');
}

function checkedHost(host: string): string {
  if (/^(\*\.)?[^\s/:@[\]]+$/.test(host) || isIP(plainName(host)) === 6) return host;
  throw new FedStreamError(
    'bad-argument',
    `${JSON.stringify(host)} is not a host; write a name without scheme and port, such as fed.example.org`,
  );
}

function checkedOrigin(origin: string): string {
  try {
    const url = new URL(origin);
    if (url.origin !== 'null' && `${url.origin}/` === url.href) return url.origin;
  } catch {
    // told below
  }
  throw new FedStreamError(
    'bad-argument',
    `${JSON.stringify(origin)} is not an origin; write scheme://host or scheme://host:port, such as https://lab.example.org`,
  );
}

/** The names that the certificate is for: clients check that theirs is among them. */
function certificateHosts({ cert }: TlsMaterial = {}): string[] {
  if (cert === undefined) return [];
  try {
    const { subject, subjectAltName = '' } = new X509Certificate(cert);
    const common = /^CN=(.+)$/m.exec(subject)?.[1];
    const names = subjectAltName.split(', ').flatMap((name) => (name.startsWith('DNS:') ? [name.slice(4)] : []));
    return common === undefined ? names : [common, ...names];
  } catch {
    return []; // a certificate that cannot be read is refused where the server starts
  }
}
