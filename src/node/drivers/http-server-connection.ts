// One connection on an HTTP server: frames come in the bodies of requests, turn by turn, and go out in the answer to one.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { asFedStreamError, FedStreamError } from '../../core/errors.js';
import { DEFAULT_MAX_FRAME_BYTES } from '../../driver/driver.js';
import { FrameMemory } from '../../driver/frame-memory.js';
import { FrameSplitter } from '../../driver/frame-splitter.js';
import { FRAMES_TYPE } from '../../driver/http-protocol.js';
import { MessageConnection } from '../../driver/message-connection.js';
import { writeFrame } from './http-write.js';

/** Requests that came before their turn; their bodies are not read. */
const MAX_EARLY = 16;

interface Early {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly ends: boolean;
}

export interface HttpServerConnectionOptions {
  readonly peer: string;
  readonly maxFrameBytes: number | undefined;
  readonly certificateNames: readonly string[] | undefined;
}

export class HttpServerConnection {
  readonly connection: MessageConnection;
  readonly #peer: string;
  readonly #memory = new FrameMemory();
  readonly #splitter: FrameSplitter;
  readonly #down: ServerResponse;
  readonly #early = new Map<number, Early>();
  #turn = 0;
  #reading: IncomingMessage | undefined;
  #pendingBytes = 0;

  /** `down` is the answer that brings frames to the client. */
  constructor(down: ServerResponse, options: HttpServerConnectionOptions) {
    this.#peer = options.peer;
    this.#down = down;
    this.#splitter = new FrameSplitter(options.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES, this.#memory);
    const transport = {
      send: (parts: readonly Uint8Array[], bytes: number) => this.#send(parts, bytes),
      flow: (welcome: boolean) => void (welcome ? this.#reading?.resume() : this.#reading?.pause()),
      finish: () => void down.end(),
      abort: (reason: Error) => this.#abort(reason),
      progress: () => this.#pendingBytes,
    };
    this.connection = new MessageConnection(transport, { ...options, release: (frame) => this.#memory.giveBack(frame) });
    // A proxy that gathers answers would hold frames back.
    down.writeHead(200, { 'content-type': FRAMES_TYPE, 'cache-control': 'no-store, no-transform', 'x-accel-buffering': 'no' });
    down.flushHeaders();
    down.on('error', () => {});
    down.on('close', () => {
      const whole = down.writableFinished;
      this.#refuseEarly();
      this.connection.ended(whole ? undefined : new FedStreamError('closed', `${this.#peer} closed the connection without an end`));
    });
  }

  /** A request of the client: its body brings frames, or it ends the connection. */
  take(turn: number, request: IncomingMessage, response: ServerResponse, ends: boolean): void {
    if (turn < this.#turn || this.#early.has(turn) || this.#early.size >= MAX_EARLY) {
      this.connection.fail(new FedStreamError('bad-frame', `${this.#peer} sent request ${turn} where ${this.#turn} was expected`));
      response.writeHead(409).end();
      return;
    }
    this.#early.set(turn, { request, response, ends });
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

  #read({ request, response }: Early): void {
    this.#reading = request;
    request.on('data', (bytes: Buffer) => this.#received(bytes));
    request.on('error', () => {});
    request.on('close', () => {
      this.#reading = undefined;
      if (!request.complete || this.#splitter.pendingBytes > 0) {
        this.connection.fail(new FedStreamError('closed', `${this.#peer} closed the connection inside a frame`));
        return;
      }
      response.writeHead(204).end();
      this.#next();
    });
    if (this.connection.full) request.pause();
  }

  #received(bytes: Buffer): void {
    try {
      for (const frame of this.#splitter.push(bytes)) this.connection.received(frame);
    } catch (error) {
      this.connection.fail(asFedStreamError(error, 'bad-frame', this.#peer));
    }
  }

  async #send(parts: readonly Uint8Array[], bytes: number): Promise<void> {
    this.#pendingBytes += bytes;
    await writeFrame(this.#down, parts, bytes);
    this.#pendingBytes -= bytes;
  }

  #abort(reason: Error): void {
    this.#down.destroy();
    this.#reading?.destroy();
    this.#refuseEarly();
    this.connection.ended(reason);
  }

  #refuseEarly(): void {
    for (const { response } of this.#early.values()) response.writeHead(410).end();
    this.#early.clear();
  }
}
