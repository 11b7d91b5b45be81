// Frees the memory of a read at once, where a library allocates anew for each.

/** A smaller buffer is not worth a call, and may be part of a pool. */
const WORTH_BYTES = 16 * 1024;

type Transferable = ArrayBuffer & { transfer?(newByteLength: number): ArrayBuffer };

/** Buffers are freed together, since a call takes as long as a read. */
const TOGETHER_BYTES = 256 * 1024;

const waiting = new Set<ArrayBuffer>();
let waitingBytes = 0;
let closedPort: MessagePort | undefined;

/**
 * Frees the memory of bytes that nobody needs any more; they are empty afterwards. Such memory
 * would otherwise grow by tens of megabytes until the garbage collector frees it, and each read
 * would touch cold pages: more than half of the time of a transfer over HTTP (measured). `bytes`
 * must be all of its buffer; does nothing otherwise, since the rest may have another owner.
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
  // A closed port takes a message and drops it (HTML, 9.4.3).
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
