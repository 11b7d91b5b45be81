// Named objects over a session: either side requests a file or a model from the other and receives
// it as a stream (docs/retrievers.md).
import { z } from 'zod';
import type { CodecTable } from '../codec/codec.js';
import { BUDGETS } from '../core/budgets.js';
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import { Turns } from '../core/turns.js';
import { unpack } from '../frame/pack.js';
import type { Session } from '../frame/session.js';
import { Messages, type RequestHandler } from '../message/messages.js';
import type { IncomingStream } from '../stream/incoming-stream.js';
import type { SendOptions } from '../stream/outgoing-stream.js';
import type { ByteSource } from '../stream/source.js';
import { Streams } from '../stream/streams.js';
import type { TransferFigures } from '../transfer/figures.js';
import { type Received, type ReceiveOptions, receiveModel } from '../transfer/receive.js';
import { type ReceiveObjectOptions, receiveObject } from '../transfer/receive-object.js';
import type { TensorReceiver } from '../transfer/receive-tensors.js';
import { sendPrepared } from '../transfer/send.js';

/**
 * Options of a retriever: the objects that this side offers, and further requests that it answers.
 */
export interface RetrieverOptions {
  readonly codecs: CodecTable;
  /** The objects that the other side may request; none by default. */
  readonly offers?: Retrievable;
  /** Also answers the requests `file` and `object` of sites without the feature `retrieve`. */
  readonly olderRequests?: boolean;
  /** Handlers of further requests, and of streams of other kinds. */
  readonly handlers?: Readonly<Record<string, RequestHandler>>;
  onOpen?(stream: IncomingStream): void | Promise<void>;
  /** Called where a callback for a send throws; by default the session ends. */
  onFault?(error: unknown): void;
  /** The objects that are sent at once; the requests for others wait. */
  readonly openSends?: number;
  /** An object is no longer sent if the other side does nothing about it for so long. */
  readonly sendSilenceMs?: number;
}

/** The objects that one side offers to the other; `Offers` implements it. */
export interface Retrievable {
  /**
   * Both sources throw `not-found` where nothing of that name is offered. The signal is aborted when
   * nobody needs the source any more.
   */
  fileSource(name: string, signal: AbortSignal): Promise<ByteSource>;
  modelSource(name: string, signal: AbortSignal): Promise<ByteSource>;
  /** Called for each object that is sent; the returned callbacks report how the transfer goes. */
  watch?(kind: RetrievedKind, name: string, signal: AbortSignal): SendWatch | Promise<SendWatch>;
}

/** Callbacks for one object that is sent. */
export interface SendWatch extends SendOptions {
  sent?(figures: TransferFigures): void;
  broke?(error: Error): void;
}

/** The kinds of objects that can be requested. */
export type RetrievedKind = 'file' | 'model';

/** Options for fetching a file: the folder that it goes to, and its largest size in bytes. */
export interface FileOptions extends Omit<ReceiveObjectOptions, 'name'> {
  /** The name under which the file is kept; by default its name on the other side. */
  readonly as?: string;
}

const askSchema = z.strictObject({ kind: z.enum(['file', 'model']), name: z.string().min(1).max(1024), ask: z.int().min(0) });
const metaSchema = z.strictObject({ kind: z.literal('retrieved'), ask: z.int().min(0) });
const olderSchema = z.strictObject({ name: z.string().min(1).max(256) });
const nothing = z.strictObject({});

/** The name of the request. */
const ASK = 'retrieve';

/**
 * Handles the requests and streams of a session; construct it before the session starts. A transfer
 * that was interrupted with its session resumes when the object is requested again over the next
 * one, into the same folder or with the same `TensorReceiver`.
 */
export class Retriever {
  /** The messages of the session, for requests of other kinds. */
  readonly messages: Messages;
  readonly streams: Streams;
  readonly #session: Session;
  readonly #options: RetrieverOptions;
  readonly #sends: Turns;
  readonly #waiting = new Map<number, { resolve(stream: IncomingStream): void; reject(error: FedStreamError): void }>();
  #asked = 0;

  constructor(session: Session, options: RetrieverOptions) {
    this.#session = session;
    this.#options = options;
    this.#sends = new Turns(options.openSends ?? BUDGETS.openSends.limit);
    const older = { file: this.#olderRequest('file'), object: this.#olderRequest('object') };
    const own = { [ASK]: (body: Uint8Array, signal: AbortSignal) => this.#answer(body, signal) };
    this.messages = new Messages(session, { ...options.handlers, ...(options.olderRequests && older), ...own });
    this.streams = new Streams(session, async (stream) => this.#opened(stream));
    void session.closed.then((error) => {
      for (const { reject } of this.#waiting.values()) reject(error);
    });
  }

  /**
   * Fetches a file that the other side offers into a folder of this side; it is there whole and
   * verified, or not at all.
   */
  async file(name: string, options: FileOptions): Promise<TransferFigures> {
    const { as = name, ...rest } = options;
    const stream = await this.#ask('file', name);
    const { figures } = await receiveObject(stream, { ...rest, name: as }, async () => ({}));
    return figures;
  }

  /**
   * Fetches a model that the other side offers, as a lazy state dict over its spool, still coded as
   * it travelled.
   */
  async model(name: string, options: Omit<ReceiveOptions, 'codecs'>): Promise<Received> {
    return receiveModel(await this.#ask('model', name), { ...options, codecs: this.#options.codecs });
  }

  /** Fetches a model and hands it, one tensor at a time, to a consumer in this process. */
  async tensors(name: string, receiver: TensorReceiver): Promise<TransferFigures> {
    return receiver.receive(await this.#ask('model', name));
  }

  async #ask(kind: RetrievedKind, name: string): Promise<IncomingStream> {
    const ask = this.#asked++;
    const arriving = new Promise<IncomingStream>((resolve, reject) => this.#waiting.set(ask, { resolve, reject }));
    arriving.catch(() => {});
    try {
      await this.messages.request(ASK, { kind, name, ask }, nothing);
      return await arriving;
    } finally {
      this.#waiting.delete(ask);
    }
  }

  async #answer(body: Uint8Array, signal: AbortSignal): Promise<Record<string, never>> {
    const { kind, name, ask } = unpack(body, askSchema, 'a request for an object');
    return this.#send(kind, name, { kind: 'retrieved', ask }, signal);
  }

  /** Sites from before `retrieve` request the object by its name in the stream itself. */
  #olderRequest(kind: 'file' | 'object') {
    return (body: Uint8Array, signal: AbortSignal) => {
      const { name } = unpack(body, olderSchema, 'a request for an object');
      return this.#send(kind === 'file' ? 'file' : 'model', name, { kind, name }, signal);
    };
  }

  /**
   * Begins to send once it is this object's turn: until then the request waits, and nothing is
   * prepared.
   */
  async #send(kind: RetrievedKind, name: string, meta: Json, signal: AbortSignal): Promise<Record<string, never>> {
    const { offers } = this.#options;
    if (!offers) throw new FedStreamError('not-found', `this side offers nothing; it has no ${kind} ${JSON.stringify(name)}`);
    const end = await this.#sends.take(signal);
    try {
      const source = await (kind === 'file' ? offers.fileSource(name, signal) : offers.modelSource(name, signal));
      const watch = (await offers.watch?.(kind, name, signal)) ?? {};
      signal.throwIfAborted();
      void this.#sendWatched(meta, source, watch).finally(end);
    } catch (error) {
      end();
      throw error;
    }
    return {};
  }

  /** Never rejects: a failure reaches the requesting side through the stream itself. */
  async #sendWatched(meta: Json, source: ByteSource, { sent, broke, ...options }: SendWatch): Promise<void> {
    const silenceMs = this.#options.sendSilenceMs ?? BUDGETS.sendSilenceMs.limit;
    try {
      const sending = sendPrepared(this.streams, meta, { source, release: async () => {} }, { silenceMs, ...options });
      await sending.then(sent, broke ?? (() => {}));
    } catch (error) {
      this.#fault(error);
    }
  }

  /** A callback has nobody to throw to: its error ends this session, never the process. */
  #fault(error: unknown): void {
    const { onFault } = this.#options;
    try {
      onFault?.(error);
    } catch {
      // Nobody is left to tell it to; the session ends below.
    }
    void this.#session.close(asFedStreamError(error));
  }

  async #opened(stream: IncomingStream): Promise<void> {
    const meta = metaSchema.safeParse(stream.meta);
    const waiting = meta.success ? this.#waiting.get(meta.data.ask) : undefined;
    if (waiting) waiting.resolve(stream);
    else if (!meta.success && this.#options.onOpen) await this.#options.onOpen(stream);
    else void stream.reject(new FedStreamError('refused', 'nobody asked for this'));
  }
}
