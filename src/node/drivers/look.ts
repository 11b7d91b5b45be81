// A short connection to an address that is looked at: sends some bytes, and gathers what comes back.
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { BUDGETS } from '../../core/budgets.js';

/** The address to look at. */
export interface Place {
  readonly host: string;
  readonly port: number;
  readonly signal: AbortSignal | undefined;
}

/** What a look has found. */
export interface Seen {
  /** False where nobody listens, or the host is not known. */
  readonly reached: boolean;
  /** True if the other side took part in a handshake of TLS, whether or not it let this side in. */
  readonly tls: boolean;
  /** The protocol of ALPN that it chose. */
  readonly alpn: string | undefined;
  /** The first bytes that it sent, inside TLS if that was asked for. */
  readonly bytes: Buffer;
}

/** How to look: inside TLS with these protocols of ALPN, or in plain text. */
export interface Manner {
  readonly alpn?: readonly string[] | undefined;
  readonly send?: Uint8Array | undefined;
}

/** More bytes may follow the first ones, such as the body behind the head of an answer. */
const MORE_MS = 150;

/**
 * Looks once. No certificate is shown or checked: nothing of this side is told, and nothing that
 * comes back is believed but for a message. Never rejects, and ends by itself within some seconds.
 */
export function look({ host, port, signal }: Place, { alpn, send }: Manner): Promise<Seen> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let lengthBytes = 0;
    let reached = false;
    let tls = false;
    let chosen: string | undefined;
    const plain: Socket = connect({ host, port, noDelay: true, autoSelectFamily: true });
    const names = isIP(host) === 0 ? { servername: host } : {};
    const secure = alpn && connectTls({ socket: plain, rejectUnauthorized: false, ALPNProtocols: [...alpn], ...names });
    const socket = secure ?? plain;
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      socket.destroy();
      plain.destroy();
      resolve({ reached, tls, alpn: chosen, bytes: Buffer.concat(chunks).subarray(0, BUDGETS.lookBytes.limit) });
    };
    let timer = setTimeout(done, BUDGETS.lookMs.limit);
    const opened = (): void => {
      if (send) socket.write(send);
      else if (secure) done();
    };
    plain.once('connect', () => {
      reached = true;
      if (!secure) opened();
    });
    secure?.once('secureConnect', () => {
      tls = true;
      chosen = secure.alpnProtocol || undefined;
      opened();
    });
    socket.on('data', (bytes: Buffer) => {
      chunks.push(bytes);
      lengthBytes += bytes.length;
      clearTimeout(timer);
      if (lengthBytes >= BUDGETS.lookBytes.limit) done();
      else timer = setTimeout(done, MORE_MS);
    });
    socket.on('error', (cause: NodeJS.ErrnoException) => {
      // An alert is an answer of TLS, too.
      tls ||= /ALERT/.test(cause.code ?? '');
      done();
    });
    if (secure) plain.on('error', () => {});
    socket.on('close', done);
    signal?.addEventListener('abort', done, { once: true });
    if (signal?.aborted) done();
  });
}
