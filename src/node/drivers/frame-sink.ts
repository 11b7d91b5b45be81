// Where payloads that carry frames go: to the splitter, and what is whole to the connection.
import { asFedStreamError } from '../../core/errors.js';
import type { FrameSplitter } from '../../driver/frame-splitter.js';
import type { MessageConnection } from '../../driver/message-connection.js';
import type { BodySink } from './http-body.js';

/** What is no frame ends the connection. */
export function frameSink(splitter: FrameSplitter, connection: MessageConnection): BodySink {
  return {
    room: () => splitter.room(),
    filled(bytes) {
      try {
        for (const frame of splitter.filled(bytes)) connection.received(frame);
      } catch (error) {
        connection.fail(asFedStreamError(error, 'bad-frame', connection.peer));
      }
    },
  };
}
