// Errors of sockets and TLS in words: what they mean, and what to do.
import { FedStreamError } from '../../core/errors.js';

const NOT_TRUSTED = 'its certificate is signed by nobody that this side trusts; give the authority that signed it (--tls-ca)';
const OWN_REFUSED =
  'it refused the certificate of this side; give one that its authority has signed and that has not expired (--tls-cert, --tls-key)';
const NO_TLS = 'it does not speak TLS; check the scheme of the address and the port';

const NO_GRPC = 'it speaks TLS, and no gRPC; check the scheme of the address and the port';
/** Faults of the address rather than of a certificate. */
const ADDRESS_FAULTS: ReadonlySet<string> = new Set([NO_TLS, NO_GRPC]);

/** Faults of TLS, which another try does not mend. */
const TLS_FAULTS: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: NOT_TRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: NOT_TRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: NOT_TRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: NOT_TRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: NOT_TRUSTED,
  CERT_SIGNATURE_FAILURE: NOT_TRUSTED,
  CERT_HAS_EXPIRED: 'its certificate has expired; renew it, or set the clock of this machine',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet; set the clock of this machine',
  CERT_REVOKED: 'its certificate was revoked',
  ERR_SSL_WRONG_VERSION_NUMBER: NO_TLS,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: NO_TLS,
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: NO_GRPC,
  ERR_SSL_HTTP_REQUEST: 'it sent plain HTTP to a port for TLS',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'it offers no version of TLS from 1.2 on',
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: 'it showed no certificate',
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'it asks for a certificate of this side (--tls-cert, --tls-key)',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: OWN_REFUSED,
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: OWN_REFUSED,
  ERR_SSL_SSL_TLSV1_ALERT_BAD_CERTIFICATE: OWN_REFUSED,
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: OWN_REFUSED,
  ERR_SSL_SSL_ALERT_CERTIFICATE_EXPIRED: OWN_REFUSED,
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN: 'it does not trust the certificate of this side',
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: 'the two sides have no version of TLS in common; both need 1.2 or newer',
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: OWN_REFUSED,
};

const CONNECT_FAULTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nobody listens there; start `fedstream server`, or check host and port',
  ENOENT: 'nobody listens there; start `fedstream server`, or check the path',
  ENOTFOUND: 'the host name is not known; check it',
  EAI_AGAIN: 'the host name is not known now; check it, and the network of this machine',
  EHOSTUNREACH: 'there is no way to that host now; check host, network and firewall',
  ENETUNREACH: 'this machine has no network to that host now; check it',
  ETIMEDOUT: 'the host does not answer; check host, port and firewall',
  ECONNRESET: 'it closed the connection before it was open',
  EACCES: 'this user may not use it',
};

const LISTEN_FAULTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use; choose another one, or end the process that has it',
  EACCES: 'this user may not use that port; choose one above 1023',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOENT: 'the folder of that path does not exist',
  ENOTFOUND: 'the host name is not known; check it',
};

function codeOf(cause: Error): string {
  const code = (cause as NodeJS.ErrnoException).code ?? '';
  if (code !== 'EPROTO') return code;
  // A fault of TLS during a write has its reason in the message alone.
  const reason = /error:[0-9A-F]+:SSL routines:[^:]*:([^:]+)/.exec(cause.message)?.[1];
  return reason === undefined ? code : `ERR_SSL_${reason.toUpperCase().replaceAll(' ', '_')}`;
}

/** The fault that TLS found, or undefined. */
function tlsFault(cause: Error): string | undefined {
  const code = codeOf(cause);
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return `its certificate is for another name: ${cause.message.replace(/^.*?: /, '')}`;
  if (Object.hasOwn(TLS_FAULTS, code)) return TLS_FAULTS[code];
  if (code.startsWith('ERR_SSL_')) return `TLS failed: ${code.slice('ERR_SSL_'.length).toLowerCase().replaceAll('_', ' ')}`;
  return code === 'EPROTO' ? `TLS failed: ${cause.message}` : undefined;
}

/** The error of a failed try to connect: `refused` if TLS refused it, `bad-argument` for an address without TLS, `closed` otherwise. */
export function connectError(url: string, cause: Error): FedStreamError {
  const fault = tlsFault(cause);
  if (fault)
    return new FedStreamError(ADDRESS_FAULTS.has(fault) ? 'bad-argument' : 'refused', `cannot connect to ${url}: ${fault}`, { cause });
  const known = CONNECT_FAULTS[codeOf(cause)];
  return new FedStreamError('closed', `cannot connect to ${url}: ${known ?? (cause.message || codeOf(cause))}`, { cause });
}

/** The error of a server that cannot listen (`io`). */
export function listenError(url: string, cause: Error): FedStreamError {
  return new FedStreamError('io', `cannot listen on ${url}: ${LISTEN_FAULTS[codeOf(cause)] ?? cause.message}`, { cause });
}

/**
 * The error of an established connection that broke. A peer with TLS 1.3 that refuses our
 * certificate says so only at this point.
 */
export function brokenError(peer: string, cause: Error): FedStreamError {
  const fault = tlsFault(cause);
  if (fault) return new FedStreamError('refused', `${peer} ended the connection: ${fault}`, { cause });
  return new FedStreamError('closed', `the connection to ${peer} broke: ${cause.message}`, { cause });
}

/** The error of a peer that failed before it was a connection. */
export function handshakeError(peer: string, cause: Error): FedStreamError {
  if (cause instanceof FedStreamError) return cause;
  const fault =
    tlsFault(cause) ?? (codeOf(cause) === 'ERR_TLS_HANDSHAKE_TIMEOUT' ? 'it did not finish the TLS handshake in time' : undefined);
  return new FedStreamError('refused', `${peer} was not let in: ${fault ?? cause.message}`, { cause });
}
