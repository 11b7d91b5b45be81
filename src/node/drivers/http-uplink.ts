// The client's frames on their way up: a request carries them for as long as they keep coming, then the next one does.
import type { ClientRequest } from 'node:http';
import { FedStreamError } from '../../core/errors.js';
import { refusedFrames } from '../../driver/http-protocol.js';
import { lengthPrefixed } from '../../driver/length-prefix.js';
import { writeParts } from './write-parts.js';

/** A request ends when nothing was sent for so long: a proxy that gathers requests passes it on then. */
const PAUSE_MS = 5;
/** Requests whose answer is still missing. */
const MAX_UNANSWERED = 4;

export class HttpUplink {
  readonly #start: (turn: number, ends: boolean) => ClientRequest;
  readonly #failed: (cause: Error) => void;
  readonly #requests = new Set<ClientRequest>();
  #current: ClientRequest | undefined;
  #pause: NodeJS.Timeout | undefined;
  #turn = 0;
  #finishing = false;
  #over = false;
  /** Given to requests and not flushed. */
  pendingBytes = 0;

  /** `start` makes the request of a turn; `failed` hears of one that failed. */
  constructor(start: (turn: number, ends: boolean) => ClientRequest, failed: (cause: Error) => void) {
    this.#start = start;
    this.#failed = failed;
  }

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

  /** What the server does with the last request of all is for nobody. */
  #fail(cause: Error): void {
    if (!this.#over && !this.#finishing) this.#failed(cause);
  }
}
