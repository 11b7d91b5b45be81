// The three streaming modes of the paper: they differ in memory, never in the bytes on the wire.

/**
 * Streaming modes. `regular`: one message in memory on both sides; one that lies in a file as it is
 * sent stays there. `container`: a tensor at a time in memory, coded while it is sent. `file`: a
 * chunk at a time, through a spool on disk on both sides; a spool can be sent again, and to many.
 */
export const STREAMING_MODES = ['regular', 'container', 'file'] as const;
/** The name of a streaming mode. */
export type StreamingMode = (typeof STREAMING_MODES)[number];
