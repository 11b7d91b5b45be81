// A connection of a hostile server: what the site asked over it, and the streams of both sides.
import { decode } from '@msgpack/msgpack';
import type { Connection } from '../../../src/driver/driver.js';
import { decodeFrame, encodeFrame, type Frame, type FrameType, MAX_FRAME_HEADER_BYTES } from '../../../src/frame/frame.js';
import { pack } from '../../../src/frame/pack.js';
import type { Findings } from './findings.js';

/** A request of the site that has no reply yet. */
export interface SiteRequest {
  readonly id: number;
  readonly name: string;
  readonly body: unknown;
}

/** A stream that the site has opened with a result. */
export interface SiteResult {
  readonly id: number;
  readonly task: string;
  accepted: boolean;
  ended: boolean;
}

/** A stream that the server has opened. */
export interface ServerStream {
  readonly id: number;
  readonly bytes: Uint8Array;
  /** True once the site has accepted it. */
  accepted: boolean;
  /** The offset of the next byte to send, and the site's limit. */
  offset: number;
  limit: number;
  chunk: number;
  ended: boolean;
}

/** Hears which task it was that figures of training, of an evaluation, or a result have left for. */
export type Answered = (task: string) => void;

export class SitePeer {
  /** True once a good hello was said. */
  greeted = false;
  ended = false;
  readonly asked: SiteRequest[] = [];
  /** Ids of requests that were answered, to answer them again. */
  readonly answeredIds: number[] = [];
  readonly results = new Map<number, SiteResult>();
  readonly streams = new Map<number, ServerStream>();
  nextStream = 1;
  /** The code and the words of the site's bye. */
  bye: { readonly code?: string; readonly message: string } | undefined;
  readonly #connection: Connection;
  readonly #findings: Findings;
  readonly #secret: Uint8Array;
  readonly #answered: Answered;

  constructor(connection: Connection, options: { findings: Findings; secret: string; answered: Answered }) {
    this.#connection = connection;
    this.#findings = options.findings;
    this.#secret = new TextEncoder().encode(options.secret);
    this.#answered = options.answered;
    void this.#read();
  }

  send(type: FrameType, stream: number, header?: unknown, ...payload: Uint8Array[]): void {
    const bytes = header === undefined || header instanceof Uint8Array ? header : pack(header);
    this.#findings.count(`sent ${type}`);
    this.sendRaw(encodeFrame(type, stream, bytes?.subarray(0, MAX_FRAME_HEADER_BYTES), ...payload));
  }

  sendRaw(parts: readonly Uint8Array[]): void {
    void this.#connection.send(...parts).catch(() => {});
  }

  async close(reason?: Error): Promise<void> {
    this.ended = true;
    await this.#connection.close(reason);
  }

  async #read(): Promise<void> {
    try {
      for await (const bytes of this.#connection) {
        this.#check(bytes);
        this.#came(decodeFrame(bytes, () => {}));
      }
    } catch {
      // The connection broke.
    }
    this.ended = true;
  }

  /** Nothing of what stays at the site may be in a frame. */
  #check(bytes: Uint8Array): void {
    const { buffer, byteOffset, length } = bytes;
    const at = Buffer.from(buffer, byteOffset, length).indexOf(this.#secret);
    if (at < 0) return;
    const words = Buffer.from(buffer, byteOffset, length)
      .subarray(Math.max(0, at - 60), at + 60)
      .toString('latin1');
    this.#findings.add('something private left the site', words);
  }

  #came(frame: Frame): void {
    const { type, stream } = frame;
    this.#findings.count(`got ${type}`);
    if (this.bye) this.#findings.add('a frame after bye', type);
    if (type === 'ping') this.send('pong', 0);
    else if (type === 'bye') this.bye = decode(frame.header) as { code?: string; message: string };
    else if (type === 'request') {
      const { name } = decode(frame.header) as { name: string };
      this.#findings.count(`asked ${name}`);
      const body = decode(frame.payload) as { readonly task?: string; readonly steps?: readonly unknown[] };
      this.asked.push({ id: stream, name, body });
      if (body.task !== undefined && (name === 'evaluated' || (body.steps?.length ?? 0) > 0)) this.#answered(body.task);
    } else if (type === 'open') {
      const { meta } = decode(frame.header) as { meta: { figures: { task: string } } };
      this.results.set(stream, { id: stream, task: meta.figures.task, accepted: false, ended: false });
    } else if (type === 'end') {
      const result = this.results.get(stream);
      if (result) {
        result.ended = true;
        // All of it has left, whatever the server says to it.
        this.#answered(result.task);
      }
    } else if (type === 'reset') this.results.delete(stream);
    else if (type === 'refuse' || type === 'done') this.streams.delete(stream);
    else if (type === 'accept' || type === 'credit') this.#granted(frame);
    else if (type === 'retry') {
      const server = this.streams.get(stream);
      if (server) [server.offset, server.ended] = [(decode(frame.header) as { offset: number }).offset, false];
    }
  }

  #granted(frame: Frame): void {
    const stream = this.streams.get(frame.stream);
    if (!stream) return;
    const { offset = stream.offset, limit, chunk } = decode(frame.header) as { offset?: number; limit: number; chunk: number };
    Object.assign(stream, { accepted: true, offset, limit, chunk });
  }
}
