// The Node client of the http and https drivers: frames go out in requests, and come in one answer.
import { Agent, type ClientRequest, type IncomingMessage, request as plainRequest, type RequestOptions } from 'node:http';
import { Agent as SecureAgent, request as secureRequest } from 'node:https';
import type { Socket } from 'node:net';
import { FedStreamError } from '../../core/errors.js';
import { addressUrl, type HostAddress } from '../../driver/address.js';
import { connecting } from '../../driver/connecting.js';
import type { Connection, DriverOptions } from '../../driver/driver.js';
import { FRAMES_TYPE, HTTP_HEADER, HTTP_VERSION, type HttpTarget, isConnectionId, pathOf } from '../../driver/http-protocol.js';
import { MessageConnection } from '../../driver/message-connection.js';
import { hashedFrames } from '../../stream/hashed-frames.js';
import { BOTH_FAMILIES } from './both-families.js';
import { frameSink } from './frame-sink.js';
import { HttpBody, readBodies } from './http-body.js';
import { answerError } from './http-status.js';
import { HttpUplink } from './http-uplink.js';
import { brokenError, connectError } from './socket-error.js';
import { clientTls, type TlsMaterial } from './tls.js';
import { writeEach } from './write-parts.js';

/** The answer to a request for a connection is an id; a longer answer is not read. */
const MAX_ANSWER_BYTES = 256;

/** Makes a request for a target of the connection; the caller ends it. */
export type StartRequest = (target: HttpTarget, method: string, headers?: Record<string, string>) => ClientRequest;

/** Connects over HTTP; rejects as `Driver.connect` does. */
export async function connectHttp(
  address: HostAddress,
  scheme: 'http' | 'https',
  options: DriverOptions,
  material: TlsMaterial | undefined,
): Promise<Connection> {
  const agentOptions = { keepAlive: true, noDelay: true, scheduling: 'lifo', ...BOTH_FAMILIES } as const;
  const agent = scheme === 'https' ? new SecureAgent({ ...agentOptions, ...clientTls(material, address.host) }) : new Agent(agentOptions);
  const start: StartRequest = (target, method, headers = {}) => {
    const { host, port, path } = address;
    const to: RequestOptions = { agent, host, port, method, path: `${path}${pathOf(target)}`, headers };
    const request = scheme === 'https' ? secureRequest(to) : plainRequest(to);
    request.setNoDelay(true); // TLS sockets do not have it as an option
    if (scheme === 'https') request.once('socket', writeEach);
    return request;
  };
  return connecting(address.url, options, async (stop) => {
    try {
      const { message } = await answer(start({ kind: 'open' }, 'POST', { 'content-length': '0' }).end(), address.url, 201, stop);
      const id = await idIn(message, address.url);
      const begun = start({ kind: 'down', id }, 'GET').end();
      begun.once('socket', (socket) => whenConnected(socket, scheme, () => readBodies(socket)));
      const down = await answer(begun, address.url, 200, stop);
      return connectionOver(down, id, start, agent, addressUrl(scheme, address, address.port), options);
    } catch (error) {
      agent.destroy();
      stop.throwIfAborted();
      throw error;
    }
  });
}

async function idIn(answer: IncomingMessage, url: string): Promise<string> {
  let text = '';
  for await (const bytes of answer) {
    text += String(bytes);
    if (text.length > MAX_ANSWER_BYTES) break;
  }
  if (isConnectionId(text)) return text;
  throw new FedStreamError('closed', `cannot connect to ${url}: it answers, but not as FedStream does`);
}

function whenConnected(socket: Socket, scheme: 'http' | 'https', then: () => void): void {
  if (socket.connecting) socket.once(scheme === 'https' ? 'secureConnect' : 'connect', then);
  else then();
}

/** The head of the answer; rejects with `closed` if it is not that of a FedStream server. */
function answer(request: ClientRequest, url: string, status: number, signal: AbortSignal): Promise<HttpBody> {
  return new Promise((resolve, reject) => {
    const abort = (): void => void request.destroy(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    request.on('error', (cause) => reject(connectError(url, cause)));
    request.on('response', (response) => {
      signal.removeEventListener('abort', abort);
      if (response.statusCode === status && response.headers[HTTP_HEADER] === HTTP_VERSION) {
        resolve(new HttpBody(response));
        return;
      }
      response.destroy();
      reject(answerError(url, response.statusCode ?? 0, 'as FedStream does', response.headers.location));
    });
  });
}

function connectionOver(
  down: HttpBody,
  id: string,
  start: StartRequest,
  agent: Agent,
  peer: string,
  { maxFrameBytes }: DriverOptions,
): Connection {
  const { splitter, memory } = hashedFrames(maxFrameBytes);
  const uplink = new HttpUplink(
    (turn, ends) => start({ kind: ends ? 'end' : 'up', id, turn }, ends ? 'DELETE' : 'POST', { 'content-type': FRAMES_TYPE }),
    (cause) => connection.fail(brokenError(peer, cause)),
  );
  const end = (error?: Error): void => {
    uplink.abort();
    agent.destroy();
    connection.ended(error);
  };
  const connection: MessageConnection = new MessageConnection(
    {
      send: (parts, bytes) => uplink.send(parts, bytes),
      flow: (welcome) => down.flow(welcome),
      finish: () => uplink.finish(),
      abort(reason) {
        down.message.destroy();
        end(reason);
      },
      progress: () => uplink.pendingBytes,
    },
    { peer, maxFrameBytes, splitter, release: (frame) => memory.giveBack(frame) },
  );
  down.message.on('error', () => {});
  down.message.on('close', () => {
    const whole = down.message.complete && splitter.pendingBytes === 0;
    end(whole ? undefined : new FedStreamError('closed', `${peer} closed the connection without an end`));
  });
  down.read(frameSink(splitter, connection), true);
  return connection;
}
