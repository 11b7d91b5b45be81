// Sends frames as WebSocket messages without the copy that `ws` makes of each message it masks.
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { FrameMemory } from '../../driver/frame-memory.js';
import { copyParts } from '../../driver/join-parts.js';
import { writeParts } from './write-parts.js';

/**
 * The part of `ws` that makes messages: its `Sender`, which its types leave out. It needs only the
 * length of a message that it does not mask.
 */
export interface MessageMaker {
  frame(data: Pick<Buffer, 'length'>, options: Record<string, unknown>): Uint8Array[];
}

/**
 * The mask of messages. A server does not mask. A client must: `random` protects proxies that
 * interpret the traffic (RFC 6455, 10.3). Inside TLS no proxy can, so the mask is `zero`, which
 * changes nothing.
 */
export type Masks = 'none' | 'zero' | 'random';

const BINARY = 2;

/** Writes frames as messages to the socket under a WebSocket. */
export class MessageWriter {
  readonly #socket: WebSocket;
  readonly #under: Duplex;
  readonly #maker: MessageMaker;
  readonly #masks: Masks;
  readonly #memory = new FrameMemory();

  constructor(socket: WebSocket, under: Duplex, maker: MessageMaker, masks: Masks) {
    this.#socket = socket;
    this.#under = under;
    this.#maker = maker;
    this.#masks = masks;
  }

  async send(parts: readonly Uint8Array[], bytes: number): Promise<void> {
    if (this.#socket.readyState !== this.#socket.OPEN) throw new Error('the WebSocket is not open');
    if (this.#masks === 'random') return this.#sendMasked(parts, bytes);
    const [front] = this.#make({ length: bytes }) as [Uint8Array];
    return writeParts(this.#under, [front, ...parts]);
  }

  /** Masks a copy of the frame, in memory that is used again. */
  async #sendMasked(parts: readonly Uint8Array[], bytes: number): Promise<void> {
    const message = this.#memory.take(bytes);
    copyParts(message, parts);
    await writeParts(this.#under, this.#make(Buffer.from(message.buffer, message.byteOffset, message.byteLength)));
    this.#memory.giveBack(message);
  }

  #make(data: Pick<Buffer, 'length'>): Uint8Array[] {
    const masking = { mask: this.#masks !== 'none', readOnly: false, ...(this.#masks === 'zero' ? { generateMask: noMask } : {}) };
    return this.#maker.frame(data, { fin: true, opcode: BINARY, rsv1: false, ...masking });
  }
}

/** Makes a mask of zeros; `ws` uses it for its own messages too. */
export function noMask(mask: Buffer): void {
  mask.fill(0);
}
