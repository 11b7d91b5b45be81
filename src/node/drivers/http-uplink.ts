// Sends the client's frames up in requests: each lasts for as long as frames keep coming.
import type { ClientRequest } from 'node:http';
import { FedStreamError } from '../../core/errors.js';
import { refusedFrames } from '../../driver/http-protocol.js';
import { lengthPrefixed } from '../../driver/length-prefix.js';
import { writeParts } from './write-parts.js';

/**
 * A request ends when nothing was sent for so long: a proxy that buffers requests passes it on
 * then.
 */
const PAUSE_MS = 5;
/** The most requests whose answer is still missing. */
const MAX_UNANSWERED = 4;

/** The requests of one connection that carry the client's frames. */
export class HttpUplink {
  readonly #start: (turn: number, ends: boolean) => ClientRequest;
  readonly #failed: (cause: Error) => void;
  readonly #requests = new Set<ClientRequest>();
  #current: ClientRequest | undefined;
  #pause: NodeJS.Timeout | undefined;
  #turn = 0;
  #finishing = false;
  #over = false;
  /** Bytes that were given to requests and are not flushed yet. */
  pendingBytes = 0;

  /**
   * Takes `start`, which makes the request of a turn, and `failed`, which is called when one fails.
   */
  constructor(start: (turn: number, ends: boolean) => ClientRequest, failed: (cause: Error) => void) {
    this.#start = start;
    this.#failed = failed;
  }

  /** Resolves once the frame is flushed. */
  async send(parts: readonly Uint8Array[], bytes: number): Promise<void> {
    this.#current ??= this.#begin(false);
    this.#pause?.refresh();
    this.#pause ??= setTimeout(() => this.#paused(), PAUSE_MS);
    this.pendingBytes += bytes;
    await writeParts(this.#current, lengthPrefixed(parts, bytes));
    this.pendingBytes -= bytes;
  }

  /** Tells the server that nothing follows. */
  finish(): void {
    if (this.#over || this.#finishing) return;
    this.#finishing = true;
    clearTimeout(this.#pause);
    this.#current?.end();
    this.#current = undefined;
    this.#begin(true).end();
  }

  /** Destroys all requests. */
  abort(): void {
    this.#over = true;
    clearTimeout(this.#pause);
    for (const request of this.#requests) request.destroy();
  }

  #paused(): void {
    if (this.pendingBytes > 0 || this.#requests.size >= MAX_UNANSWERED) {
      this.#pause?.refresh();
      return;
    }
    this.#pause = undefined;
    this.#current?.end();
    this.#current = undefined;
  }

  #begin(ends: boolean): ClientRequest {
    const request = this.#start(this.#turn++, ends);
    this.#requests.add(request);
    request.on('error', (cause) => this.#fail(cause));
    request.on('response', (response) => {
      response.resume();
      if (response.statusCode !== 204) this.#fail(new FedStreamError('closed', refusedFrames(response.statusCode ?? 0)));
    });
    request.on('close', () => this.#requests.delete(request));
    return request;
  }

  /** Ignores a failure of the very last request: by then nothing is left to lose. */
  #fail(cause: Error): void {
    if (!this.#over && !this.#finishing) this.#failed(cause);
  }
}
