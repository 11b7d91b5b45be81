// The driver contract: the interface of every transport.
import { BUDGETS } from '../core/budgets.js';
import { FedStreamError } from '../core/errors.js';
import type { Gate } from './connection-gate.js';

/** How to connect or to listen; a driver ignores options that it does not know. */
export interface DriverOptions {
  readonly signal?: AbortSignal;
  /** Frames above this are refused with `limit`, in both directions. */
  readonly maxFrameBytes?: number;
  /** How long to wait for a connection, and for the handshake of an incoming one. */
  readonly connectTimeoutMs?: number;
  /**
   * Called if a peer fails before it is a connection: in the TLS handshake, or with an HTTP request
   * that is not for FedStream. For the log.
   */
  onRefused?(peer: string, error: FedStreamError): void;
  /**
   * Counts the raw connections of a listener, before TLS. Without one, a listener limits neither
   * their number nor the time to a hello.
   */
  readonly gate?: Gate;
  /**
   * Names that a request to a listener over HTTP may have as its host, besides the host of the
   * listener's own URL, IP addresses, `localhost`, the name of this machine and the names in the
   * listener's certificate: the public name in front of a reverse proxy that passes it on. Others
   * are refused, since the page of anybody can have its own name point to this machine.
   */
  readonly hosts?: readonly string[];
  /**
   * The origins of pages that may connect to a listener over HTTP, such as
   * `https://lab.example.org`; none by default. A request without an origin is not from a page.
   */
  readonly origins?: readonly string[];
}

/**
 * Long enough for a handshake over a bad line, short enough that a person does not wait in vain.
 */
export const DEFAULT_CONNECT_TIMEOUT_MS = BUDGETS.handshakeMs.limit;

/**
 * A connection carries frames, whole and in order, both ways. Iterate it once to read; frames are
 * plain `Uint8Array`s. Back-pressure is part of it: if this side does not ask for the next frame,
 * the other side has to stop once the driver's buffers are full.
 */
export interface Connection extends AsyncIterable<Uint8Array> {
  /** The name of the other side in messages: `127.0.0.1:50123`. */
  readonly peer: string;
  /**
   * The names in the certificate that the other side proved to have (`CN` and DNS names of the
   * subject): undefined if it showed none, empty if the one that it showed does not verify.
   */
  readonly certificateNames?: readonly string[] | undefined;
  /**
   * The number of frames that it can carry at the same time, 1 if missing. To keep it busy, that
   * many times the frames of a single one must be under way.
   */
  readonly lanes?: number;
  /**
   * Sends one frame, given in parts so that a payload is not copied behind its prefix. Calls keep
   * their order without being awaited. The parts belong to the driver until the promise resolves,
   * which is when the next frame may follow. Rejects with `closed`; a frame without a byte
   * (`bad-argument`) or above the limit (`limit`) is refused and does no harm.
   */
  send(...parts: readonly Uint8Array[]): Promise<void>;
  /**
   * Gives the memory of a frame back for a later one, since to touch fresh memory costs more than
   * all else here. Missing if frames are not pooled. Never required.
   */
  release?(frame: Uint8Array): void;
  /**
   * Reads one more frame of at most so many bytes, none for 0, and then nothing until it is called
   * again, or `readOn`: a peer that has not said who it is must cost little. A larger frame ends the
   * connection with `limit`. Called before the connection is read, or between two frames; a frame
   * that waits to be taken counts as the one. Missing where whoever sends is trusted.
   */
  readOne?(maxBytes: number): void;
  /** Reads on without that limit, what came meanwhile first. */
  readOn?(): void;
  /**
   * Called on an accepted connection once its peer has proved its name: the limits for pending
   * connections concern it no longer. Missing where nothing is counted.
   */
  admitted?(): void;
  /**
   * Ends the connection: frames that were sent are flushed unless `reason` is an error; incoming
   * ones are dropped. Idempotent.
   */
  close(reason?: Error): Promise<void>;
  /**
   * Resolves once both directions have ended, with the error that ended them, if there was one.
   * Never rejects.
   */
  readonly closed: Promise<Error | undefined>;
}

/** A server that waits for connections at one address. */
export interface Listener {
  /** The URL that a client can connect to, with the port that the system chose. */
  readonly url: string;
  /** Ends listening; accepted connections live on. */
  close(): Promise<void>;
}

/** One kind of transport: connects to URLs, and accepts connections. */
export interface Driver {
  readonly schemes: readonly string[];
  /**
   * Connects to a URL. Rejects with `closed` (nobody is there now), `timeout`, `aborted`, `refused` (a
   * certificate that does not fit, a login), `unsupported` (a package is missing), or `bad-argument`
   * for a URL that is not valid, or at which something else answers.
   */
  connect(url: string, options?: DriverOptions): Promise<Connection>;
  /**
   * Finds out what else listens at a URL at which no session could begin: resolves with the error that
   * says so, and what to do (`bad-argument`), or with undefined where nothing is there, or nothing
   * can be said. Never rejects. Missing on a platform that cannot look.
   */
  identify?(url: string, options?: DriverOptions): Promise<FedStreamError | undefined>;
  /**
   * Listens at a URL. Missing on a platform that cannot listen (a page). `accept` is called for
   * each connection and owns it. Rejects with `io` if the address is in use.
   */
  listen?(url: string, accept: (connection: Connection) => void, options?: DriverOptions): Promise<Listener>;
}

/** 4 MiB and a little: room for several chunks of 1 MiB in any codec, with their prefix. */
export const DEFAULT_MAX_FRAME_BYTES = 4 * 1024 * 1024 + 4096;

/**
 * Throws unless a frame of this length may be sent: `bad-argument` for an empty one, `limit` above
 * the limit.
 */
export function checkFrameBytes(bytes: number, maxFrameBytes: number): void {
  if (bytes === 0) throw new FedStreamError('bad-argument', 'a frame has at least one byte');
  if (bytes > maxFrameBytes) throw new FedStreamError('limit', `a frame of ${bytes} bytes is above the limit of ${maxFrameBytes}`);
}
