// The kinds of worlds: how models are coded and streamed, and how large they are.
import type { Setting } from './world.js';

const TINY = { w: [16, 12], norm: [40] };

export const SETTINGS: readonly Setting[] = [
  { name: 'fp32, from a file', job: { quantize: 'fp32' }, shapes: TINY, idleMs: 2000 },
  { name: 'u4, from a file', job: { quantize: 'u4' }, shapes: TINY, idleMs: 2000 },
  { name: 'bf16, in memory', job: { quantize: 'bf16', streaming: 'regular' }, shapes: TINY, idleMs: 1000 },
  { name: 'u3, coded while it is sent', job: { quantize: 'u3', streaming: 'container' }, shapes: TINY, idleMs: 5000 },
];

/** A model of several leaves, so that transfers resume in the middle, and wait for credit. */
export const LARGE: Setting = {
  name: 'fp32, a large model',
  job: { quantize: 'fp32' },
  shapes: { w: [900, 800], norm: [40] },
  idleMs: 2000,
};
