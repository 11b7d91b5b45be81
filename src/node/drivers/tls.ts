// The TLS settings of the drivers, and the names in a peer's certificate.
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { ConnectionOptions, PeerCertificate, TLSSocket, TlsOptions } from 'node:tls';
import { FedStreamError } from '../../core/errors.js';

/** TLS 1.0 and 1.1 are broken (RFC 8996). */
const MIN_VERSION = 'TLSv1.2';

/** Certificates and keys, as PEM text. */
export interface TlsMaterial {
  /** This side's certificate, and those between it and its authority. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /**
   * The authorities that this side trusts to sign the other's certificate. A client without it
   * trusts those that Node trusts; a server asks for certificates only with it.
   */
  readonly ca?: string | undefined;
  /**
   * For a server: clients without a certificate are accepted, and must send a token. A certificate
   * that a client does send must still be valid.
   */
  readonly certificateOptional?: boolean;
}

/** Node's options for a server; throws `bad-argument` without a certificate and its key. */
export function serverTls(material: TlsMaterial | undefined, scheme: string): TlsOptions {
  const { cert, key, ca, certificateOptional = false } = material ?? {};
  if (cert === undefined || key === undefined)
    throw new FedStreamError('bad-argument', `a server on ${scheme}:// needs a certificate and its key (--tls-cert, --tls-key)`);
  const own = { cert, key, minVersion: MIN_VERSION } as const;
  return ca === undefined ? own : { ...own, ca, requestCert: true, rejectUnauthorized: !certificateOptional };
}

/**
 * Node's options for a client. The server's certificate must be for the host of the URL; Node
 * checks that by default.
 */
export function clientTls(material: TlsMaterial | undefined, host: string): ConnectionOptions {
  const { cert, key, ca } = material ?? {};
  return {
    minVersion: MIN_VERSION,
    rejectUnauthorized: true,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert, key }),
  };
}

/**
 * The names that the peer has proved to own: undefined if it sent no certificate, empty if no
 * trusted authority signed the one that it sent.
 */
export function certificateNames(socket: TLSSocket): readonly string[] | undefined {
  const certificate = socket.getPeerCertificate();
  if (!certificate?.subject) return undefined;
  return socket.authorized ? namesIn(certificate) : [];
}

/** The names of a client in a request over TLS. */
export function requestNames(request: IncomingMessage): readonly string[] | undefined {
  return 'getPeerCertificate' in request.socket ? certificateNames(request.socket as TLSSocket) : undefined;
}

/** The common name of the subject, and its DNS names. */
function namesIn({ subject, subjectaltname }: PeerCertificate): string[] {
  const common: unknown = subject.CN; // an array if there are several
  const dns = (subjectaltname ?? '').split(', ').flatMap((name) => (name.startsWith('DNS:') ? [name.slice(4)] : []));
  return [...new Set([...(Array.isArray(common) ? common : [common]).filter((name) => typeof name === 'string'), ...dns])];
}
