// Frees memory that a library hands out anew with each read, at once.

/** Less is not worth a call, and may be a part of a pool. */
const WORTH_BYTES = 16 * 1024;

type Transferable = ArrayBuffer & { transfer?(newByteLength: number): ArrayBuffer };

/** Freed together: a call takes as long as a read. */
const TOGETHER_BYTES = 256 * 1024;

const waiting = new Set<ArrayBuffer>();
let waitingBytes = 0;
let closedPort: MessagePort | undefined;

/**
 * The bytes are nobody's any more; they will be empty. Left to the garbage collector, such memory grows by tens of megabytes before it is used again,
 * and each read then touches cold pages: more than half of the time of a transfer over HTTP (measured). Does nothing where the memory may have
 * another owner: `bytes` must be all of its buffer.
 */
export function discard({ buffer, byteLength }: Uint8Array): void {
  if (byteLength !== buffer.byteLength || byteLength < WORTH_BYTES || !(buffer instanceof ArrayBuffer)) return;
  free(buffer);
}

function free(buffer: Transferable): void {
  if (buffer.transfer) {
    buffer.transfer(0); // since Node 21
    return;
  }
  if (waiting.has(buffer)) return;
  waiting.add(buffer);
  waitingBytes += buffer.byteLength;
  if (waitingBytes < TOGETHER_BYTES) return;
  // What is sent to a port that is closed is taken, and dropped (HTML, 9.4.3).
  closedPort ??= makeClosedPort();
  closedPort.postMessage(null, [...waiting]);
  waiting.clear();
  waitingBytes = 0;
}

function makeClosedPort(): MessagePort {
  const { port1 } = new MessageChannel();
  port1.close();
  return port1;
}
