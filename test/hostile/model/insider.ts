// A connection of an insider, and what the model expects of the server's side of it.
import { decode } from '@msgpack/msgpack';
import { ERROR_CODES } from '../../../src/core/errors.js';
import type { Connection } from '../../../src/driver/driver.js';
import { joinReplySchema, nextReplySchema } from '../../../src/exchange/protocol.js';
import { decodeFrame, encodeFrame, type Frame, type FrameType, MAX_FRAME_HEADER_BYTES } from '../../../src/frame/frame.js';
import { pack } from '../../../src/frame/pack.js';
import { transcriptOf } from '../../../src/frame/proof.js';
import { digestOf } from '../../../src/stream/leaf-sums.js';
import { decodeDataHeader } from '../../../src/stream/stream-frames.js';
import type { Findings } from './findings.js';
import type { OfferedStream, OpenedStream } from './opened-stream.js';
import type { World } from './world.js';

/** A request that has no reply yet. */
export interface Asked {
  readonly name: string;
  /** Codes that its reply may have; `ok` for none. */
  readonly may: ReadonlySet<string>;
}

interface Ended {
  readonly code?: string | undefined;
  readonly message: string;
}

/** Words of an exception that nobody has thought of. */
export const UNFORESEEN =
  /Cannot read prop|Cannot set prop|is not a function|is not iterable|Maximum call stack|Invalid array length|is not defined|of undefined|of null/;

export class Insider {
  readonly site: string;
  /** True once a good hello was sent. */
  admitted = false;
  reading = true;
  /** The reasons for which the server may end the session, or must. */
  readonly mayEnd = new Set<string>();
  mustEnd: string | undefined;
  ended: Ended | undefined;
  lastSentMs: number;
  /** True once it has sent so many reports that they are answered later. */
  slowed = false;
  pings = 0;
  /** Early bytes that the next stream may send. */
  early: { limit: number; chunk: number } | undefined;
  /** The number of requests without a reply. */
  open = 0;
  readonly asked = new Map<number, Asked[]>();
  /** Ids that were used for two requests. */
  readonly doubled = new Set<number>();
  readonly opened = new Map<number, OpenedStream>();
  readonly offered = new Map<number, OfferedStream>();
  nextId = 1;
  readonly #connection: Connection;
  readonly #world: World;
  readonly #findings: Findings;
  /** The header of each side's hello. */
  #said: Uint8Array | undefined;
  #welcomed: Uint8Array | undefined;
  #proven: () => void = () => {};
  #wake: () => void = () => {};

  constructor(site: string, connection: Connection, world: World, findings: Findings) {
    this.site = site;
    this.#connection = connection;
    this.#world = world;
    this.#findings = findings;
    this.lastSentMs = performance.now();
    void this.#read();
    void connection.closed.then(() => {
      this.ended ??= { message: 'the connection was closed' };
      this.#proven();
    });
  }

  send(type: FrameType, stream: number, header?: unknown, ...payload: Uint8Array[]): void {
    const bytes = header === undefined || header instanceof Uint8Array ? header : pack(header);
    this.sendRaw(encodeFrame(type, stream, bytes?.subarray(0, MAX_FRAME_HEADER_BYTES), ...payload));
    this.#findings.count(`sent ${type}`);
  }

  sendRaw(parts: readonly Uint8Array[]): void {
    this.lastSentMs = performance.now();
    this.#connection.send(...parts).catch(() => {});
  }

  /** Says hello; resolves once the name is proven, where that takes a token, or the session has ended. */
  async hello(header: Uint8Array): Promise<void> {
    this.#said = header;
    const proven = new Promise<void>((resolve) => {
      this.#proven = resolve;
    });
    this.send('hello', 0, header);
    if (this.#world.tokens) await proven;
  }

  /** Sends a request; `may` has the codes of the reply, `ok` among them. */
  request(name: string, body: Uint8Array, may: readonly string[], id = this.nextId++): void {
    this.open++;
    const before = this.asked.get(id);
    if (!before) this.asked.set(id, [{ name, may: new Set(may) }]);
    else {
      // Replies to requests of one id cannot be told apart.
      const all = new Set([...may, ...before.flatMap((one) => [...one.may])]);
      this.asked.set(
        id,
        [...before, { name }].map((one) => ({ name: one.name, may: all })),
      );
    }
    this.send('request', id, { name }, body);
  }

  resumeReading(): void {
    this.reading = true;
    this.#wake();
  }

  async close(reason?: Error): Promise<void> {
    this.mayEnd.add('the insider has left');
    this.resumeReading();
    await this.#connection.close(reason);
  }

  async #read(): Promise<void> {
    try {
      for await (const bytes of this.#connection) {
        while (!this.reading) await new Promise<void>((resolve) => (this.#wake = resolve));
        this.#came(decodeFrame(bytes, () => this.#connection.release?.(bytes)));
      }
    } catch (error) {
      this.ended ??= { message: (error as Error).message };
    }
    this.ended ??= { message: 'the server closed the connection' };
  }

  #came(frame: Frame): void {
    const { type } = frame;
    this.#findings.count(`got ${type}`);
    if (this.ended?.code !== undefined) this.#findings.add('a frame after bye', `${type} to ${this.site}`);
    if (type === 'hello') {
      this.#findings.check(!this.#welcomed, 'a second hello', () => this.site);
      this.#welcomed = frame.header.slice();
    } else if (type === 'proof') void this.#prove();
    else if (type === 'ping') this.send('pong', 0);
    else if (type === 'pong') this.#findings.check(--this.pings >= 0, 'a pong without a ping', () => this.site);
    else if (type === 'bye') this.#bye(frame);
    else if (type === 'reply') this.#replied(frame);
    else if (type === 'open') this.#offer(frame);
    else if (type === 'data' || type === 'end' || type === 'reset') this.#fed(frame);
    else this.#answered(frame);
  }

  /** Proves with the insider's own token, whatever name it has given. */
  async #prove(): Promise<void> {
    const transcript = transcriptOf(this.#said ?? new Uint8Array(0), this.#welcomed ?? new Uint8Array(0));
    this.send('proof', 0, { proof: await this.#world.credentials(this.site)?.prove(transcript) });
    this.#proven();
  }

  #bye(frame: Frame): void {
    const { code, message } = decode(frame.header) as { code?: string; message: string };
    this.ended = { code: code ?? 'none', message };
    this.#findings.count(`bye ${code ?? 'none'}`);
    this.#sane(code, message, 'the end of a session');
  }

  #replied(frame: Frame): void {
    const { code, message = '' } = decode(frame.header) as { code?: string; message?: string };
    const asked = this.asked.get(frame.stream) ?? [];
    const first = asked.shift();
    if (!first) {
      this.#findings.add('a reply to nothing', `${frame.stream} ${code} ${message}`);
      return;
    }
    this.open--;
    if (asked.length === 0) this.asked.delete(frame.stream);
    this.#findings.count(`${first.name}: ${code ?? 'ok'}`);
    this.#findings.check(first.may.has(code ?? 'ok'), 'an unexpected reply', () => `${first.name}: ${code ?? 'ok'} ${message}`);
    if (code === undefined && !this.doubled.has(frame.stream)) this.#checkBody(first.name, frame.payload);
    if (code !== undefined) this.#sane(code, message, `the reply to ${first.name}`);
  }

  #checkBody(name: string, payload: Uint8Array): void {
    const body = decode(payload);
    if (name === 'join') this.#findings.check(joinReplySchema.safeParse(body).success, 'a reply of another form', () => name);
    if (name !== 'next') return;
    const next = nextReplySchema.safeParse(body);
    if (!next.success) {
      this.#findings.add('a reply of another form', JSON.stringify(body).slice(0, 300));
      return;
    }
    if ('stop' in next.data) {
      this.#findings.count('stopped');
      return;
    }
    const { id } = next.data.task;
    this.#findings.check(this.#world.watch.tasks.get(id)?.site === this.site, 'the task of another site', () => `${id} for ${this.site}`);
  }

  #offer(frame: Frame): void {
    const { totalBytes, early = 0 } = decode(frame.header) as { totalBytes?: number; early?: number };
    this.#findings.check(!this.offered.has(frame.stream), 'a stream opened twice', () => `${frame.stream}`);
    this.offered.set(frame.stream, {
      id: frame.stream,
      totalBytes,
      state: 'opened',
      ended: false,
      round: this.#world.round,
      start: 0,
      offset: 0,
      limit: early,
      reached: 0,
      pieces: [],
    });
  }

  #fed(frame: Frame): void {
    const stream = this.offered.get(frame.stream);
    if (!stream) {
      this.#findings.add('a frame of no stream', `${frame.type} ${frame.stream}`);
      return;
    }
    if (frame.type === 'reset') {
      const { code, message } = decode(frame.header) as { code: string; message: string };
      this.#sane(code, message, 'a reset');
      this.#findings.count(`reset ${code}`);
      stream.state = 'over';
      return;
    }
    // What was on its way when the insider gave the stream up, or accepted it without a reason.
    if (stream.state === 'over') return;
    this.#findings.check(
      stream.state !== 'opened' || stream.limit > 0,
      'data of a stream that was not accepted',
      () => `${frame.type} ${frame.stream}`,
    );
    if (frame.type === 'end') {
      stream.ended = true;
      if (stream.start === 0 && stream.offset === stream.reached)
        void this.#compare(stream, decode(frame.header) as { totalBytes: number; digest: string });
      return;
    }
    const { offset } = decodeDataHeader(frame.header);
    if (offset !== stream.offset) stream.pieces.length = 0;
    if (offset === stream.offset || offset === stream.start) {
      if (stream.start === 0 && stream.pieces.length < 64) stream.pieces.push(frame.payload.slice());
      stream.offset = offset + frame.payload.length;
    }
    stream.reached = Math.max(stream.reached, offset + frame.payload.length);
    this.#findings.check(stream.reached <= stream.limit, 'more data than was granted', () => `${stream.reached} of ${stream.limit}`);
  }

  async #compare(stream: OfferedStream, end: { totalBytes: number; digest: string }): Promise<void> {
    const bytes = new Uint8Array(Buffer.concat(stream.pieces.splice(0)));
    if (bytes.length !== end.totalBytes) return; // parts were asked for again
    const digest = await digestOf(bytes);
    this.#findings.check(digest === end.digest, 'an object whose bytes do not have its digest', () => `${stream.id}`);
    this.#findings.count('fetched whole');
  }

  #answered(frame: Frame): void {
    const stream = this.opened.get(frame.stream);
    if (!stream) {
      this.#findings.add('an answer to no stream', `${frame.type} ${frame.stream}`);
      return;
    }
    const header = (frame.header.length > 0 ? decode(frame.header) : {}) as Record<string, unknown>;
    if (frame.type === 'accept') {
      // One that broke the rules is refused at once, while it is still being accepted.
      const may = stream.state === 'opened' || stream.state === 'ending' || !stream.lawful;
      this.#findings.check(may, 'a stream accepted twice', () => JSON.stringify({ ...stream, posted: 0, object: stream.object.name }));
      if (stream.state === 'opened') stream.state = 'accepted';
      const offset = header.offset as number;
      if (offset > 0) this.#findings.count('resumed');
      if (offset > 0 || stream.offset === 0) stream.offset = offset;
      stream.limit = header.limit as number;
    } else if (frame.type === 'credit') stream.limit = header.limit as number;
    else if (frame.type === 'retry') {
      this.#findings.check(stream.awaitsRetry, 'a retry of bytes that were right', () => `${frame.stream}`);
      stream.awaitsRetry = false;
      stream.offset = header.offset as number;
      if (stream.state === 'ending') stream.state = 'accepted';
    } else if (frame.type === 'refuse') {
      this.#sane(header.code as string, header.message as string, 'a refusal');
      this.#findings.count(`refuse ${header.code}`);
      stream.state = 'over';
    } else this.#done(stream, header);
  }

  /** A result that was confirmed was whole, right, of this site, and in time. */
  #done(stream: OpenedStream, { early }: Record<string, unknown>): void {
    const { posted, object, objectId } = stream;
    const again = objectId !== undefined && posted?.confirmed.has(objectId);
    const fits = posted?.task.kind === 'offer' ? object.model : object.good;
    const right = stream.complete && fits && posted?.site === this.site && stream.inTime;
    this.#findings.check(right || again === true, 'a result was confirmed that must not be', () =>
      JSON.stringify({ task: posted?.task.id, site: this.site, ...stream, posted: undefined, object: object.name }),
    );
    stream.state = 'over';
    if (objectId !== undefined) posted?.confirmed.add(objectId);
    this.#findings.count(again ? 'confirmed again' : 'confirmed');
    if (early) this.early = early as { limit: number; chunk: number };
  }

  /** Words for a person, and a code that is one. */
  #sane(code: string | undefined, message: string, what: string): void {
    const known = code === undefined || (ERROR_CODES as readonly string[]).includes(code);
    this.#findings.check(
      known && code !== 'internal' && !UNFORESEEN.test(message),
      'an unforeseen error',
      () => `${what}: ${code} ${message}`,
    );
  }
}
