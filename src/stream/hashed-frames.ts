// Frames of a byte stream that are hashed while they arrive.
import { DEFAULT_MAX_FRAME_BYTES } from '../driver/driver.js';
import { FrameMemory } from '../driver/frame-memory.js';
import { FrameSplitter } from '../driver/frame-splitter.js';
import { dataPayloadStart } from '../frame/frame.js';
import { forgetHashed, hashAhead, hashedMemory } from './hashed-memory.js';
import { LEAF_BYTES } from './leaf-sums.js';

/** TLS delivers 16 KiB at a time: a call for each would cost more than it saves. */
const STEP_BYTES = 64 * 1024;

/**
 * A splitter that cuts a byte stream into frames, and the memory of those frames. Leaves are hashed
 * while they arrive: bytes that were just read are still in the cache, and the sender goes on
 * meanwhile.
 */
export function hashedFrames(
  maxFrameBytes = DEFAULT_MAX_FRAME_BYTES,
  readBytes?: number,
): { readonly splitter: FrameSplitter; readonly memory: FrameMemory } {
  const memory = new FrameMemory(hashedMemory());
  return { memory, splitter: new FrameSplitter(maxFrameBytes, memory, hashWhileItComes, readBytes) };
}

/** Hashes frames of a whole leaf only: smaller parts are assembled elsewhere, and hashed there. */
function hashWhileItComes(frame: Uint8Array, filled: number, before: number): void {
  if (before === 0) forgetHashed(frame);
  if (Math.floor(filled / STEP_BYTES) === Math.floor(before / STEP_BYTES) && filled < frame.length) return;
  const start = frame.length < LEAF_BYTES ? undefined : dataPayloadStart(frame.subarray(0, filled));
  if (start === undefined || start >= filled) return;
  const end = start + LEAF_BYTES;
  // Bytes beyond the end of a whole leaf need no hash here.
  if (before < end) hashAhead(frame.subarray(start, Math.min(filled, end)), filled >= end);
}
