// Requests and replies of a session (docs/spec/message.md).
import { z } from 'zod';
import { BUDGETS } from '../core/budgets.js';
import { asFedStreamError, ERROR_CODES, FedStreamError } from '../core/errors.js';
import { reportedError } from '../core/told.js';
import type { Frame } from '../frame/frame.js';
import { pack, unpack, unpackHeader } from '../frame/pack.js';
import type { Session } from '../frame/session.js';

/**
 * Answers one request; an error that it throws goes back as code and message. The handler itself
 * checks the body. The signal is aborted with the session's error when the session ends before the
 * answer: a handler that waits must then let go of all that it holds.
 */
export type RequestHandler = (body: Uint8Array, signal: AbortSignal) => unknown;

const MAX_OPEN_REQUESTS = BUDGETS.openRequests.limit;
const MAX_OPEN_BYTES = BUDGETS.openRequestBytes.limit;

const requestSchema = z.strictObject({ name: z.string().min(1).max(64) });
const replySchema = z.strictObject({ code: z.enum(ERROR_CODES).optional(), message: z.string().max(8192).optional() });

interface Pending {
  resolve(payload: Uint8Array): void;
  reject(error: FedStreamError): void;
}

/** Handles the request and reply frames of a session; construct it before the session starts. */
export class Messages {
  readonly #session: Session;
  readonly #handlers: Readonly<Record<string, RequestHandler>>;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  /** The requests that wait for an answer of this side. */
  readonly #open = new Set<AbortController>();
  /** The bytes of their bodies. */
  #openBytes = 0;

  constructor(session: Session, handlers: Readonly<Record<string, RequestHandler>> = {}) {
    this.#session = session;
    this.#handlers = handlers;
    session.handle('request', (frame) => this.#requested(frame));
    session.handle('reply', (frame) => this.#replied(frame));
    void session.closed.then((error) => {
      for (const pending of this.#pending.values()) pending.reject(error);
      this.#pending.clear();
      for (const open of this.#open) open.abort(error);
    });
  }

  /**
   * Asks the other side and resolves with its checked reply, as long as the session lives: there is
   * no time limit, since the session watches for silence. Throws the other side's error, or the
   * session's if it ends.
   */
  async request<T>(name: string, body: unknown, reply: z.ZodType<T>): Promise<T> {
    const id = this.#nextId++;
    const answered = new Promise<Uint8Array>((resolve, reject) => this.#pending.set(id, { resolve, reject }));
    answered.catch(() => {}); // it may fail while the request is still being sent
    try {
      await this.#session.control('request', id, pack({ name }), pack(body));
      return unpack(await answered, reply, `the reply to ${name}`);
    } finally {
      this.#pending.delete(id);
    }
  }

  #requested(frame: Frame): void {
    const { name } = unpackHeader(frame.header, requestSchema, 'a request frame');
    const { stream: id, payload } = frame;
    const refusal = this.#refusal(payload.length);
    // A copy: the body may wait for long, and a frame's memory can be many times as large.
    const body = refusal === undefined ? payload.slice() : undefined;
    frame.release();
    if (body) void this.#handle(id, name, body);
    else this.#answer(id, { code: 'limit', message: refusal });
  }

  /** The reason why one more request with a body of so many bytes is not taken, if there is one. */
  #refusal(bytes: number): string | undefined {
    if (this.#open.size >= MAX_OPEN_REQUESTS) return `more than ${MAX_OPEN_REQUESTS} requests at once`;
    if (this.#openBytes + bytes > MAX_OPEN_BYTES) return `requests of more than ${MAX_OPEN_BYTES} bytes at once`;
    return undefined;
  }

  /** Never rejects. Handlers run outside of the reading loop, so they never keep a frame waiting. */
  async #handle(id: number, name: string, body: Uint8Array): Promise<void> {
    const open = new AbortController();
    const { length } = body;
    this.#open.add(open);
    this.#openBytes += length;
    try {
      await undefined;
      const value = await this.#handler(name)(body, open.signal);
      this.#answer(id, {}, pack(value ?? {}));
    } catch (error) {
      this.#answer(id, this.#session.told(asFedStreamError(error)));
    } finally {
      this.#open.delete(open);
      this.#openBytes -= length;
    }
  }

  #handler(name: string): RequestHandler {
    const handler = Object.hasOwn(this.#handlers, name) ? this.#handlers[name] : undefined;
    if (!handler) throw new FedStreamError('unsupported', `${JSON.stringify(name)} is not asked of this side`);
    return handler;
  }

  #answer(id: number, header: z.output<typeof replySchema>, payload?: Uint8Array): void {
    this.#session.control('reply', id, pack(header), payload).catch((error: unknown) => {
      // A reply above the frame limit would leave the asking side waiting, so it gets the error. In
      // all other cases the session has ended, and the request with it.
      const told = this.#session.told(asFedStreamError(error));
      if (told.code === 'limit') this.#session.control('reply', id, pack(told)).catch(() => {});
    });
  }

  #replied(frame: Frame): void {
    const pending = this.#pending.get(frame.stream);
    if (!pending) return; // the asking side has given up
    const { code, message } = unpackHeader(frame.header, replySchema, 'a reply frame');
    if (code) pending.reject(reportedError(code, message));
    else pending.resolve(frame.payload);
  }
}
