// The client's side of the grpc drivers: a channel of its own for each connection, and one call on it.
import { isIP } from 'node:net';
import { createSecureContext } from 'node:tls';
import type { ClientDuplexStream, ServiceError, StatusObject } from '@grpc/grpc-js';
import { asFedStreamError, FedStreamError } from '../../core/errors.js';
import { discard } from '../../driver/discard.js';
import { type Connection, DEFAULT_CONNECT_TIMEOUT_MS, DEFAULT_MAX_FRAME_BYTES } from '../../driver/driver.js';
import { MessageConnection } from '../../driver/message-connection.js';
import { asItIs, CONNECT_METHOD, decodeFrameMessage, FRONT_BYTES, FrameCall } from './grpc-frames.js';
import { type GrpcOptions, type GrpcPackage, HTTP2_WINDOW_BYTES, messageLimits } from './grpc-options.js';
import { clientTls } from './tls.js';

type Call = ClientDuplexStream<Buffer, Uint8Array>;

export async function connectGrpc(library: GrpcPackage, options: GrpcOptions): Promise<Connection> {
  const { url } = options.address;
  if (options.signal?.aborted) throw asFedStreamError(options.signal.reason, 'aborted', `connecting to ${url}`);
  const { call, close } = startCall(library, options);
  return new Promise((resolve, reject) => {
    const done = (): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', abort);
      call.removeAllListeners('error');
    };
    const fail = (error: Error): void => {
      done();
      call.on('error', () => {});
      call.cancel();
      close();
      reject(error);
    };
    const limitMs = options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS;
    const timer = setTimeout(() => fail(new FedStreamError('timeout', `${url} did not answer within ${limitMs / 1000} s`)), limitMs);
    const abort = (): void => fail(asFedStreamError(options.signal?.reason, 'aborted', `connecting to ${url}`));
    options.signal?.addEventListener('abort', abort, { once: true });
    call.on('error', (cause: ServiceError) => fail(callError(`cannot connect to ${url}`, cause)));
    // A server of ours answers at once, before any frame.
    call.once('metadata', () => {
      done();
      resolve(connectionOver(library, call, close, url, options.maxFrameBytes));
    });
  });
}

function startCall(library: GrpcPackage, { address, scheme, material, maxFrameBytes }: GrpcOptions): { call: Call; close(): void } {
  const { credentials, Client } = library;
  const secure = (): ReturnType<typeof credentials.createSsl> =>
    credentials.createFromSecureContext(createSecureContext(clientTls(material, address.host)));
  const host = isIP(address.host) === 6 ? `[${address.host}]` : address.host;
  const client = new Client(`${host}:${address.port}`, scheme === 'grpcs' ? secure() : credentials.createInsecure(), {
    ...messageLimits(maxFrameBytes),
    'grpc-node.flow_control_window': HTTP2_WINDOW_BYTES,
    // Connections must not share a socket: the end of one would be felt by others.
    'grpc.use_local_subchannel_pool': 1,
    // Retries would keep what was sent in memory; sessions go on by themselves.
    'grpc.enable_retries': 0,
    'grpc.service_config_disable_resolution': 1,
  });
  const call = client.makeBidiStreamRequest(CONNECT_METHOD, asItIs, decodeFrameMessage);
  return { call, close: () => client.close() };
}

function connectionOver(
  library: GrpcPackage,
  call: Call,
  close: () => void,
  peer: string,
  maxFrameBytes = DEFAULT_MAX_FRAME_BYTES,
): Connection {
  const frames = new FrameCall(call);
  const connection = new MessageConnection(
    {
      send: (parts, bytes) => frames.send(parts, bytes),
      flow: (welcome) => void (welcome ? call.resume() : call.pause()),
      finish: () => void call.end(),
      abort(reason) {
        call.cancel();
        close();
        connection.ended(reason);
      },
      progress: () => frames.pendingBytes,
    },
    { peer, maxFrameBytes, release: (frame) => discard(frame, FRONT_BYTES) },
  );
  call.on('data', (frame: Uint8Array) => connection.received(frame));
  call.on('error', () => {}); // the status says it
  call.on('status', (status: StatusObject) => {
    close();
    if (status.code === library.status.OK) connection.ended();
    else connection.ended(callError(`${peer} ended the connection`, status));
  });
  return connection;
}

/** What the library says in words: it keeps no codes of what was under it. */
const FAULTS: readonly (readonly [RegExp, 'refused' | 'limit', string])[] = [
  [
    /self.signed|unable to (verify|get)/i,
    'refused',
    'its certificate is signed by nobody that this side trusts; give its authority (--tls-ca)',
  ],
  [/certificate has expired/i, 'refused', 'its certificate has expired; renew it, or set the clock of this machine'],
  [/does not match certificate/i, 'refused', 'its certificate is for another name'],
  [/wrong version number|packet length too long/i, 'refused', 'it does not speak TLS; check the scheme of the address and the port'],
  [/larger than max/i, 'limit', 'a frame is above its limit'],
];

function callError(what: string, { details, code }: { details: string; code: number }): FedStreamError {
  const fault = FAULTS.find(([pattern]) => pattern.test(details));
  const cause = new Error(`gRPC status ${code}: ${details}`);
  if (fault) return new FedStreamError(fault[1], `${what}: ${fault[2]}`, { cause });
  const nobody = /ECONNREFUSED/.test(details);
  return new FedStreamError(
    'closed',
    `${what}: ${nobody ? 'nobody listens there; start `fedstream server`, or check host and port' : details}`,
    {
      cause,
    },
  );
}
