// The driver contract: what every transport gives the layers above it.
import { FedStreamError } from '../core/errors.js';

/** Where and how to connect; what a driver does not know it ignores. */
export interface DriverOptions {
  readonly signal?: AbortSignal;
  /** Frames above this are refused, in both directions (`limit`). */
  readonly maxFrameBytes?: number;
  /** How long to wait for a connection, and for the handshake of one that comes in. */
  readonly connectTimeoutMs?: number;
  /** Called where a peer failed before it was a connection: a TLS handshake, an HTTP request that is none of ours. For the log. */
  onRefused?(peer: string, error: FedStreamError): void;
}

/** Long enough for a handshake over a bad line, short enough that a person does not wait in vain. */
export const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;

/**
 * A connection carries frames, whole and in order, both ways. Iterate it once to read; frames are plain `Uint8Array`s.
 * Back-pressure is part of it: who does not ask for the next frame stops the other side within the driver's buffers.
 */
export interface Connection extends AsyncIterable<Uint8Array> {
  /** For messages to a person: `127.0.0.1:50123`. */
  readonly peer: string;
  /**
   * The names in the certificate that the other side proved to have (`CN` and DNS names of the subject): undefined where it showed none, empty where it
   * showed one that does not verify.
   */
  readonly certificateNames?: readonly string[] | undefined;
  /** How many ways it has for frames at the same time; 1 where it is missing. So many times the frames should be on their way to keep it busy. */
  readonly lanes?: number;
  /**
   * Sends one frame, given in parts so that a payload is not copied behind its prefix. Calls keep their order without being awaited.
   * The parts belong to the driver until the promise resolves, which is when the next frame is welcome. Rejects with `closed`; a frame
   * without a byte (`bad-argument`) or above the limit (`limit`) is refused and harms nothing.
   */
  send(...parts: readonly Uint8Array[]): Promise<void>;
  /** Gives a frame's memory back for a later frame: first touch of memory is dearer than all else here. Missing where frames are not pooled; never owed. */
  release?(frame: Uint8Array): void;
  /** Ends the connection: what was sent is flushed unless `reason` is an error; what comes in is dropped. Idempotent. */
  close(reason?: Error): Promise<void>;
  /** Resolves once both directions have ended, with the error that ended them, if one did. Never rejects. */
  readonly closed: Promise<Error | undefined>;
}

/** A driver that waits for connections at one address. */
export interface Listener {
  /** The URL that a client can connect to, with the port that the system chose. */
  readonly url: string;
  /** Ends listening; connections that were accepted live on. */
  close(): Promise<void>;
}

/** One kind of transport: makes connections to a URL, and takes those of others. */
export interface Driver {
  readonly schemes: readonly string[];
  /**
   * Rejects with `closed` (nobody there), `timeout`, `aborted`, `refused` (a certificate that does not fit), `unsupported` (a package is missing), or
   * `bad-argument` where the URL cannot be.
   */
  connect(url: string, options?: DriverOptions): Promise<Connection>;
  /** Missing where a platform cannot listen (a page). `accept` is called for each connection and owns it. Rejects with `io` where the address is in use. */
  listen?(url: string, accept: (connection: Connection) => void, options?: DriverOptions): Promise<Listener>;
}

/** 4 MiB and a little: a 1 MiB chunk of any codec with its prefix fits many times over. */
export const DEFAULT_MAX_FRAME_BYTES = 4 * 1024 * 1024 + 4096;

/** Throws unless a frame of so many bytes may go out. */
export function checkFrameBytes(bytes: number, maxFrameBytes: number): void {
  if (bytes === 0) throw new FedStreamError('bad-argument', 'a frame has at least one byte');
  if (bytes > maxFrameBytes) throw new FedStreamError('limit', `a frame of ${bytes} bytes is above the limit of ${maxFrameBytes}`);
}
