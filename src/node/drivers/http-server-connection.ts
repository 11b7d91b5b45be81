// A connection on an HTTP server: frames come in request bodies, in turn, and leave in one answer.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { BUDGETS } from '../../core/budgets.js';
import { FedStreamError } from '../../core/errors.js';
import type { FrameMemory } from '../../driver/frame-memory.js';
import type { FrameSplitter } from '../../driver/frame-splitter.js';
import { FRAMES_TYPE } from '../../driver/http-protocol.js';
import { lengthPrefixed } from '../../driver/length-prefix.js';
import { MessageConnection } from '../../driver/message-connection.js';
import { hashedFrames } from '../../stream/hashed-frames.js';
import { frameSink } from './frame-sink.js';
import { HttpBody } from './http-body.js';
import { writeParts } from './write-parts.js';

/** The most requests that may come before their turn; their bodies are not read until then. */
const MAX_EARLY = BUDGETS.httpRequestsAhead.limit;

interface Early {
  readonly body: HttpBody;
  readonly response: ServerResponse;
  readonly ends: boolean;
}

/** The peer of a connection, and its limits. */
export interface HttpServerConnectionOptions {
  readonly peer: string;
  readonly maxFrameBytes: number | undefined;
  readonly certificateNames: readonly string[] | undefined;
  /** Called once the peer has proved its name. */
  admitted(): void;
}

/** Joins the requests of one client to a connection. */
export class HttpServerConnection {
  readonly connection: MessageConnection;
  readonly #peer: string;
  readonly #memory: FrameMemory;
  readonly #splitter: FrameSplitter;
  readonly #down: ServerResponse;
  readonly #early = new Map<number, Early>();
  #turn = 0;
  #reading: HttpBody | undefined;
  #pendingBytes = 0;

  /** Takes `down`, the answer that brings frames to the client. */
  constructor(down: ServerResponse, options: HttpServerConnectionOptions) {
    this.#peer = options.peer;
    this.#down = down;
    const { splitter, memory } = hashedFrames(options.maxFrameBytes);
    this.#splitter = splitter;
    this.#memory = memory;
    const transport = {
      send: (parts: readonly Uint8Array[], bytes: number) => this.#send(parts, bytes),
      flow: (welcome: boolean) => this.#reading?.flow(welcome),
      finish: () => void down.end(),
      abort: (reason: Error) => this.#abort(reason),
      progress: () => this.#pendingBytes,
    };
    this.connection = new MessageConnection(transport, { ...options, splitter, release: (frame) => this.#memory.giveBack(frame) });
    // A proxy that buffers answers would hold frames back; these headers ask it not to.
    down.writeHead(200, { 'content-type': FRAMES_TYPE, 'cache-control': 'no-store, no-transform', 'x-accel-buffering': 'no' });
    down.flushHeaders();
    down.on('error', () => {});
    down.on('close', () => {
      const whole = down.writableFinished;
      this.#refuseEarly();
      this.connection.ended(whole ? undefined : new FedStreamError('closed', `${this.#peer} closed the connection without an end`));
    });
  }

  /** Takes a request of the client: its body brings frames, or it ends the connection. */
  take(turn: number, request: IncomingMessage, response: ServerResponse, ends: boolean): void {
    if (turn < this.#turn || this.#early.has(turn) || this.#early.size >= MAX_EARLY) {
      this.connection.fail(new FedStreamError('bad-frame', `${this.#peer} sent request ${turn} where ${this.#turn} was expected`));
      response.writeHead(409, { connection: 'close' }).end();
      return;
    }
    this.#early.set(turn, { body: new HttpBody(request), response, ends });
    this.#next();
  }

  #next(): void {
    const next = this.#early.get(this.#turn);
    if (!next || this.#reading) return;
    this.#early.delete(this.#turn++);
    if (next.ends) {
      next.response.writeHead(204).end();
      this.connection.otherEnded();
    } else this.#read(next);
  }

  #read({ body, response }: Early): void {
    const { message } = body;
    this.#reading = body;
    message.on('error', () => {});
    message.on('close', () => {
      this.#reading = undefined;
      // Frames that are held back until the peer has proved its name are whole ones.
      if (!message.complete || (this.#splitter.pendingBytes > 0 && !this.#splitter.holds)) {
        this.connection.fail(new FedStreamError('closed', `${this.#peer} closed the connection inside a frame`));
        return;
      }
      response.writeHead(204).end();
      this.#next();
    });
    body.read(frameSink(this.#splitter, this.connection), !this.connection.full);
  }

  async #send(parts: readonly Uint8Array[], bytes: number): Promise<void> {
    this.#pendingBytes += bytes;
    await writeParts(this.#down, lengthPrefixed(parts, bytes));
    this.#pendingBytes -= bytes;
  }

  #abort(reason: Error): void {
    this.#down.destroy();
    this.#reading?.message.destroy();
    this.#refuseEarly();
    this.connection.ended(reason);
  }

  #refuseEarly(): void {
    for (const { body, response } of this.#early.values()) {
      body.drop();
      response.writeHead(410, { connection: 'close' }).end();
    }
    this.#early.clear();
  }
}
