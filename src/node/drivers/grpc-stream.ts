// A connection over one HTTP/2 stream of gRPC messages; both sides of a call use it.
import { constants, type Http2Session, type Http2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { BUDGETS } from '../../core/budgets.js';
import { FedStreamError } from '../../core/errors.js';
import { MessageConnection } from '../../driver/message-connection.js';
import { hashedFrames } from '../../stream/hashed-frames.js';
import { readStreamInto } from './direct-reads.js';
import { frameSink } from './frame-sink.js';
import { frameMessage, MessageSplitter } from './grpc-messages.js';
import { writeParts } from './write-parts.js';

/** The only method of proto/fedstream/v1/frames.proto: `/package.Service/Method`. */
export const CONNECT_PATH = '/fedstream.v1.Frames/Connect';
/** The content type of a call. */
export const GRPC_TYPE = 'application/grpc';
/** gRPC's status for a call that ended well. */
export const STATUS_OK = '0';

/**
 * HTTP/2 starts with windows of 64 KiB. They reduce 1.5 GB/s on loopback to 0.4, and give 0.3 MB/s
 * on a path of 200 ms. Node enlarges a window again once half of it is used, so half must hold 1
 * Gbit/s times 200 ms. The windows of byte streams, not these, limit how much a peer may send
 * (src/stream/receive-window.ts).
 */
export const HTTP2_WINDOW_BYTES = 48 * 1024 * 1024;

/**
 * The settings that a server begins with: a stranger has the windows of HTTP/2, 64 KiB, since what
 * it sends into a window is taken even while nothing reads.
 */
export const FIRST_SETTINGS = {
  initialWindowSize: BUDGETS.callBytesBeforeHello.limit,
  maxConcurrentStreams: BUDGETS.callsOfSocket.limit,
  maxHeaderListSize: BUDGETS.headBytes.limit,
  enablePush: false,
};
/** The settings of a client, which chose its server. */
export const HTTP2_SETTINGS = { ...FIRST_SETTINGS, initialWindowSize: HTTP2_WINDOW_BYTES };

/** Widens the window that all streams share, which the settings do not reach. */
export function widen(session: Http2Session): void {
  session.setLocalWindowSize(HTTP2_WINDOW_BYTES);
}

/**
 * The settings of a connection over a stream, and the parts that differ between client and server.
 */
export interface GrpcStreamOptions {
  readonly peer: string;
  readonly maxFrameBytes: number | undefined;
  readonly certificateNames?: readonly string[] | undefined;
  /** Called once the peer has proved its name. */
  admitted?(): void;
  /** The fault of a call that the other side ended without an error, or undefined. */
  status?(): FedStreamError | undefined;
  /** Called when the limit of its frames changes. */
  limited?(): void;
  /** Called after the stream was cut off: the socket under it need not stay. */
  abort(): void;
}

/** Makes the connection over a new stream, of which nothing was read yet. */
export function grpcConnection(stream: Http2Stream, socket: Socket, options: GrpcStreamOptions): MessageConnection {
  const { peer } = options;
  const { splitter: frames, memory } = hashedFrames(options.maxFrameBytes);
  const splitter = new MessageSplitter(frames);
  let pendingBytes = 0;
  let welcome = true;
  let direct = false;
  const flow = (isWelcome: boolean): void => {
    welcome = isWelcome;
    if (!welcome) stream.pause();
    else {
      stream.resume();
      // A stream that nothing was pushed to believes that it is still reading.
      if (direct && !stream.destroyed) stream._read(0);
    }
  };
  const connection = new MessageConnection(
    {
      async send(parts, bytes) {
        pendingBytes += bytes;
        await writeParts(stream, frameMessage(parts, bytes));
        pendingBytes -= bytes;
      },
      flow,
      finish: () => void stream.end(),
      abort(reason) {
        stream.close(constants.NGHTTP2_CANCEL);
        options.abort();
        connection.ended(reason);
      },
      progress: () => pendingBytes,
      limited: () => options.limited?.(),
    },
    { ...options, splitter: frames, release: (frame) => memory.giveBack(frame) },
  );
  const sink = frameSink(splitter, connection);
  const inside = (): FedStreamError | undefined =>
    splitter.isInside ? new FedStreamError('closed', `${peer} closed the connection inside a frame`) : undefined;

  stream.on('error', (cause) =>
    connection.ended(new FedStreamError('closed', `the connection to ${peer} broke: ${cause.message}`, { cause })),
  );
  stream.on('end', () => {
    if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) return; // a stream that was cut off ends too
    const error = inside() ?? options.status?.();
    if (error) connection.fail(error);
    else connection.otherEnded();
  });
  stream.on('close', () => {
    const whole = stream.rstCode === constants.NGHTTP2_NO_ERROR && stream.readableEnded && stream.writableFinished;
    connection.ended(whole ? undefined : new FedStreamError('closed', `${peer} closed the connection without an end`));
  });
  // Bytes that came before this side was ready.
  for (let bytes: Buffer | null = stream.read(); bytes; bytes = stream.read()) sink.push(bytes);
  direct = readStreamInto(stream, socket, {
    buffer: () => sink.room(),
    callback(bytes) {
      sink.filled(bytes);
      return welcome;
    },
  });
  if (!direct) stream.on('data', (bytes: Buffer) => sink.push(bytes));
  flow(!connection.full);
  return connection;
}
