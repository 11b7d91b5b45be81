// The three streaming modes of the paper: they decide on what is in memory, never on the bytes of the wire.

/**
 * `regular`: one message in memory on both sides. `container`: a tensor at a time in memory, coded while it is sent.
 * `file`: a chunk at a time, through a spool on disk on both sides; what was spooled once can be sent again, and to many.
 */
export const STREAMING_MODES = ['regular', 'container', 'file'] as const;
export type StreamingMode = (typeof STREAMING_MODES)[number];
