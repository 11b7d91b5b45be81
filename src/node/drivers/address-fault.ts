// What is wrong with an address, by what listens there, and what to write instead.
import { addressUrl, type HostAddress } from '../../driver/address.js';
import { isSecured, type Scheme } from '../../driver/scheme.js';
import type { Listening } from './known-bytes.js';

/** The kinds of transports over TCP. */
export type Transport = 'tcp' | 'ws' | 'http' | 'grpc';

/** What was found at an address, inside TLS or in plain text. */
export type Found = ({ readonly kind: 'fedstream'; readonly transport: Transport } | Listening | { readonly kind: 'silent' }) & {
  readonly tls: boolean;
};

const SECURED: Readonly<Record<Transport, Scheme>> = { tcp: 'tcps', ws: 'wss', http: 'https', grpc: 'grpcs' };

/** The transport of a scheme, whether inside TLS or not. */
function transportOf(scheme: Scheme): Transport {
  const found = Object.entries(SECURED).find(([plain, secured]) => scheme === plain || scheme === secured);
  return (found?.[0] ?? 'tcp') as Transport;
}

/**
 * The fault of an address with this scheme in words, or undefined where what was found fits it or
 * proves nothing: a server that is starting, a proxy whose server is away.
 */
export function addressFault(address: HostAddress, scheme: Scheme, found: Found): string | undefined {
  const { tls } = found;
  const own = transportOf(scheme);
  const sameTls = tls === isSecured(scheme);
  const write = (transport: Transport): string => {
    const better = tls ? SECURED[transport] : transport;
    const hasPath = transport === 'ws' || transport === 'http';
    return `${addressUrl(better, { ...address, path: hasPath ? address.path : '' }, address.port)}${tls && !isSecured(scheme) ? CERTIFICATES : ''}`;
  };
  const security = tls ? 'that port speaks TLS' : 'that port does not speak TLS';
  switch (found.kind) {
    case 'fedstream':
      if (found.transport === own) return sameTls ? undefined : `${security}; write ${write(own)}`;
      return `the FedStream server there listens by ${tls ? SECURED[found.transport] : found.transport}; write ${write(found.transport)}`;
    case 'http2':
      if (own === 'grpc') return sameTls ? undefined : `${security}; write ${write(own)}`;
      return `a server of HTTP/2 (gRPC) listens there; write ${write('grpc')}, if it is the FedStream server`;
    case 'http':
      if (own === 'ws' || own === 'http') return sameTls ? undefined : `${security}; write ${write(own)}`;
      return `an HTTP server listens there${serverIn(found.text)}, which is no FedStream server; check the port, or write ${write('ws')} (or ${tls ? 'https' : 'http'}) with the path of a proxy in front of it`;
    case 'other':
      return `${found.name} listens there; check host and port`;
    case 'silent':
      return tls && !sameTls ? `${security}; write ${write(own)}, or the scheme inside TLS by which its server listens` : undefined;
  }
}

const CERTIFICATES = ', with --tls-ca and whatever proves the name of this site';

/** The name that an HTTP server gives itself. */
function serverIn(head: string): string {
  const name = /\r\nserver: ([\x20-\x7e]{1,60})/i.exec(head)?.[1];
  return name === undefined ? '' : ` (${name})`;
}
