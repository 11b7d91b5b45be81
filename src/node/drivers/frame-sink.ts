// Where payloads that carry frames go: to the splitter, and what is whole to the connection.
import { asFedStreamError } from '../../core/errors.js';
import type { FrameSplitter } from '../../driver/frame-splitter.js';
import type { MessageConnection } from '../../driver/message-connection.js';
import type { BodySink } from './http-body.js';

export interface FrameSink extends BodySink {
  /** What was read elsewhere is copied. */
  push(bytes: Uint8Array): void;
}

/** What is no frame ends the connection. */
export function frameSink(splitter: Pick<FrameSplitter, 'room' | 'filled' | 'push'>, connection: MessageConnection): FrameSink {
  const take = (cut: () => readonly Uint8Array[]): void => {
    try {
      for (const frame of cut()) connection.received(frame);
    } catch (error) {
      connection.fail(asFedStreamError(error, 'bad-frame', connection.peer));
    }
  };
  return {
    room: () => splitter.room(),
    filled: (bytes) => take(() => splitter.filled(bytes)),
    push: (bytes) => take(() => splitter.push(bytes)),
  };
}
