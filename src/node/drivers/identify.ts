// Finds out what listens at an address at which no session could begin, by short connections that speak each protocol.
import { FedStreamError } from '../../core/errors.js';
import { uint32At } from '../../core/uint64.js';
import { addressRules, addressUrl, type HostAddress, parseAddress } from '../../driver/address.js';
import type { DriverOptions } from '../../driver/driver.js';
import { HTTP_HEADER, HTTP_PATH } from '../../driver/http-protocol.js';
import { LENGTH_BYTES, lengthPrefixed } from '../../driver/length-prefix.js';
import { type Scheme, schemeOf } from '../../driver/scheme.js';
import { encodeFrame, FRAME_MAGIC } from '../../frame/frame.js';
import { pack } from '../../frame/pack.js';
import { addressFault, type Found, type Transport } from './address-fault.js';
import { listeningBy } from './known-bytes.js';
import { look, type Place } from './look.js';

/** The preface of HTTP/2, and empty settings (RFC 9113, 3.4). */
const HTTP2_PREFACE = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.from('000000040000000000', 'hex')]);
const HTTP1 = ['http/1.1'];
const HTTP2 = ['h2'];

/**
 * Looks what listens at the URL. Resolves with the error that says so and what to do, or with
 * undefined where nothing listens, nothing can be said, or it is what the URL says. Never rejects.
 */
export async function identify(url: string, { signal }: DriverOptions = {}): Promise<FedStreamError | undefined> {
  const scheme = schemeOf(url) as Scheme;
  const address = parseAddress(url, scheme, { ...addressRules(scheme), path: true });
  const found = await whatListens(address, scheme, signal);
  const fault = found && addressFault(address, scheme, found);
  return fault === undefined ? undefined : new FedStreamError('bad-argument', `cannot connect to ${url}: ${fault}`);
}

async function whatListens(address: HostAddress, scheme: Scheme, signal: AbortSignal | undefined): Promise<Found | undefined> {
  const place: Place = { host: address.host, port: address.port, signal };
  const { reached, tls, alpn } = await look(place, { alpn: [...HTTP2, ...HTTP1] });
  if (!reached) return undefined;
  // HTTP/1 and HTTP/2 are chosen by ALPN inside TLS, where a server has both.
  const [frame, http1, http2] = await Promise.all([
    look(place, { send: byeFrame(scheme), ...(tls && { alpn: alpn === undefined ? [] : HTTP1 }) }),
    look(place, { send: getRequest(address), ...(tls && { alpn: HTTP1 }) }),
    look(place, { send: HTTP2_PREFACE, ...(tls && { alpn: HTTP2 }) }),
  ]);
  const transport = ours(frame.bytes, http1.bytes);
  if (transport) return { kind: 'fedstream', tls, transport };
  const answers = [http1, http2, frame].map(({ bytes }) => listeningBy(bytes));
  const answered = (kind: string) => answers.find((answer) => answer?.kind === kind);
  // A proxy speaks both; a server of HTTP/1 alone answers the preface of HTTP/2 in its own way.
  const first = scheme === 'grpc' || scheme === 'grpcs' ? answered('http2') : undefined;
  const other = first ?? answered('http') ?? answered('http2') ?? answers.find((answer) => answer !== undefined);
  return { ...(other ?? { kind: 'silent' }), tls };
}

/** The transport by which a FedStream server answers, if it is one. */
function ours(frame: Buffer, answer: Buffer): Transport | undefined {
  if (frame.length >= LENGTH_BYTES + 4 && uint32At(frame, LENGTH_BYTES) === FRAME_MAGIC) return 'tcp';
  const text = answer.toString('latin1');
  if (/^HTTP\/1\.1 426 .*This is a FedStream server; it speaks WebSocket/s.test(text)) return 'ws';
  const [head = ''] = text.split('\r\n\r\n', 1);
  return new RegExp(`^HTTP/1.*\\r\\n${HTTP_HEADER}: `, 'is').test(head) ? 'http' : undefined;
}

/** A goodbye instead of a hello: a server of FedStream says its own hello before it reads that, and logs the words. */
function byeFrame(scheme: Scheme): Buffer {
  const frame = encodeFrame('bye', 0, pack({ message: `a site that connects by ${scheme}:// looked what listens here` }));
  const bytes = frame.reduce((sum, { length }) => sum + length, 0);
  return Buffer.concat(lengthPrefixed(frame, bytes));
}

function getRequest({ host, port, path }: HostAddress): Buffer {
  const { host: authority } = new URL(addressUrl('http', { url: '', host, port, path: '' }, port));
  return Buffer.from(`GET ${path}${HTTP_PATH} HTTP/1.1\r\nhost: ${authority}\r\nconnection: close\r\n\r\n`);
}
