// A connection over one HTTP/2 stream that carries gRPC's messages both ways: the same on either side of a call.
import { constants, type Http2Session, type Http2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { FedStreamError } from '../../core/errors.js';
import { MessageConnection } from '../../driver/message-connection.js';
import { hashedFrames } from '../../stream/hashed-frames.js';
import { readStreamInto } from './direct-reads.js';
import { frameSink } from './frame-sink.js';
import { frameMessage, MessageSplitter } from './grpc-messages.js';
import { writeParts } from './write-parts.js';

/** The only method of proto/fedstream/v1/frames.proto: `/package.Service/Method`. */
export const CONNECT_PATH = '/fedstream.v1.Frames/Connect';
export const GRPC_TYPE = 'application/grpc';
/** gRPC's status of a call that ended well. */
export const STATUS_OK = '0';

/**
 * HTTP/2 begins with windows of 64 KiB, which make 0.4 GB/s of 1.5 on loopback, and 0.3 MB/s of 200 ms. They are raised again when half is used, so that half
 * must hold 1 Gbit/s times 200 ms. Who may send how much is for the windows of streams to say (src/stream/receive-window.ts).
 */
export const HTTP2_WINDOW_BYTES = 48 * 1024 * 1024;

/** Streams of one connection of another library's client. */
const MAX_STREAMS = 64;

export const HTTP2_SETTINGS = { initialWindowSize: HTTP2_WINDOW_BYTES, maxConcurrentStreams: MAX_STREAMS, enablePush: false };

/** What the settings do not widen: the window that all streams share. */
export function widen(session: Http2Session): void {
  session.setLocalWindowSize(HTTP2_WINDOW_BYTES);
}

export interface GrpcStreamOptions {
  readonly peer: string;
  readonly maxFrameBytes: number | undefined;
  readonly certificateNames?: readonly string[] | undefined;
  /** What is wrong with the call, where the other side has ended it without an error. */
  status?(): FedStreamError | undefined;
  /** The stream is cut off already: what is under it need not stay. */
  abort(): void;
}

/** Made while the stream is new: nothing of it was read. */
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
      // A stream that nothing was pushed to believes that it reads.
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
    },
    { ...options, release: (frame) => memory.giveBack(frame) },
  );
  const sink = frameSink(splitter, connection);
  const inside = (): FedStreamError | undefined =>
    splitter.isInside ? new FedStreamError('closed', `${peer} closed the connection inside a frame`) : undefined;

  stream.on('error', (cause) =>
    connection.ended(new FedStreamError('closed', `the connection to ${peer} broke: ${cause.message}`, { cause })),
  );
  stream.on('end', () => {
    if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) return; // the end of what was cut off
    const error = inside() ?? options.status?.();
    if (error) connection.fail(error);
    else connection.otherEnded();
  });
  stream.on('close', () => {
    const whole = stream.rstCode === constants.NGHTTP2_NO_ERROR && stream.readableEnded && stream.writableFinished;
    connection.ended(whole ? undefined : new FedStreamError('closed', `${peer} closed the connection without an end`));
  });
  // What has come before this side looked.
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
