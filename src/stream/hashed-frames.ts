// Frames that are hashed while they come: what was just read is still in the cache, and the sender goes on meanwhile.
import { DEFAULT_MAX_FRAME_BYTES } from '../driver/driver.js';
import { FrameMemory } from '../driver/frame-memory.js';
import { FrameSplitter } from '../driver/frame-splitter.js';
import { dataPayloadStart } from '../frame/frame.js';
import { forgetHashed, hashAhead, hashedMemory } from './hashed-memory.js';
import { LEAF_BYTES } from './leaf-sums.js';

/** TLS brings 16 KiB at a time: a call for each costs more than it saves. */
const STEP_BYTES = 64 * 1024;

/** What a connection over a byte stream cuts into frames, and the memory of those. */
export function hashedFrames(
  maxFrameBytes = DEFAULT_MAX_FRAME_BYTES,
  readBytes?: number,
): { readonly splitter: FrameSplitter; readonly memory: FrameMemory } {
  const memory = new FrameMemory(hashedMemory());
  return { memory, splitter: new FrameSplitter(maxFrameBytes, memory, hashWhileItComes, readBytes) };
}

/** Frames of a whole leaf alone: smaller parts are put together elsewhere, and hashed there. */
function hashWhileItComes(frame: Uint8Array, filled: number, before: number): void {
  if (before === 0) forgetHashed(frame);
  if (Math.floor(filled / STEP_BYTES) === Math.floor(before / STEP_BYTES) && filled < frame.length) return;
  const start = frame.length < LEAF_BYTES ? undefined : dataPayloadStart(frame.subarray(0, filled));
  if (start === undefined || start >= filled) return;
  const end = start + LEAF_BYTES;
  // Beyond the end of a whole leaf, nothing is new.
  if (before < end) hashAhead(frame.subarray(start, Math.min(filled, end)), filled >= end);
}
