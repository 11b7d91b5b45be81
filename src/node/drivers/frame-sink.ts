// Passes payloads to the splitter, and the frames that are complete to the connection.
import { asFedStreamError } from '../../core/errors.js';
import type { FrameSplitter } from '../../driver/frame-splitter.js';
import type { MessageConnection } from '../../driver/message-connection.js';
import type { BodySink } from './http-body.js';

/** Takes the bytes of payloads that carry frames. */
export interface FrameSink extends BodySink {
  /** Copies bytes that were read into other memory. */
  push(bytes: Uint8Array): void;
}

/** Makes the sink of a connection. Bytes that are not a frame end the connection (`bad-frame`). */
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
