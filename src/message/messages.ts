// Requests and replies of a session (docs/spec/message.md).
import { z } from 'zod';
import { asFedStreamError, ERROR_CODES, FedStreamError } from '../core/errors.js';
import type { Frame } from '../frame/frame.js';
import { pack, unpack } from '../frame/pack.js';
import type { Session } from '../frame/session.js';

/**
 * Answers one request; an error that it throws goes back as code and message. The handler itself
 * checks the body.
 */
export type RequestHandler = (body: Uint8Array) => unknown;

/** The most open requests of one peer: a site has a handful. */
const MAX_OPEN_REQUESTS = 256;

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
  #open = 0;

  constructor(session: Session, handlers: Readonly<Record<string, RequestHandler>> = {}) {
    this.#session = session;
    this.#handlers = handlers;
    session.handle('request', (frame) => this.#requested(frame));
    session.handle('reply', (frame) => this.#replied(frame));
    void session.closed.then((error) => {
      for (const pending of this.#pending.values()) pending.reject(error);
      this.#pending.clear();
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
    try {
      await this.#session.control('request', id, pack({ name }), pack(body));
      return unpack(await answered, reply, `the reply to ${name}`);
    } finally {
      this.#pending.delete(id);
      answered.catch(() => {});
    }
  }

  #requested(frame: Frame): void {
    const { name } = unpack(frame.header, requestSchema, 'a request frame');
    if (this.#open >= MAX_OPEN_REQUESTS) {
      this.#answer(frame.stream, { code: 'limit', message: `more than ${MAX_OPEN_REQUESTS} requests at once` });
      return;
    }
    this.#open++;
    // Handlers run outside of the reading loop, so they never keep the next frame waiting.
    void Promise.resolve()
      .then(() => this.#handler(name)(frame.payload))
      .then((value) => this.#answer(frame.stream, {}, pack(value ?? {})))
      .catch((error: unknown) => {
        this.#answer(frame.stream, this.#session.told(asFedStreamError(error)));
      })
      .finally(() => {
        this.#open--;
      });
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
    const { code, message } = unpack(frame.header, replySchema, 'a reply frame');
    if (code) pending.reject(new FedStreamError(code, message ?? code));
    else pending.resolve(frame.payload);
  }
}
