// A pool without threads: the way of models through a pool, for codecs that no thread has.
import { reduceHere } from '../codec/accumulate.js';
import type { CodecPool, CodecTable } from '../codec/codec.js';
import { columnsHere } from '../codec/columns.js';
import { rawCoder } from '../codec/raw-coding.js';
import { HEAP } from '../tensor/chunk-memory.js';

/** Works later, not at once, and on several chunks at a time, as threads do. */
export function callingThreadPool(codecs: CodecTable): CodecPool {
  const raw = rawCoder();
  const later = (): Promise<void> => new Promise((resolve) => queueMicrotask(resolve));
  return {
    threads: 2,
    memory: HEAP,
    codecs,
    share: 4,
    encode: async (...work) => later().then(() => raw.encode(...work)),
    decode: async (...work) => later().then(() => raw.decode(...work)),
    accumulate: async (codec, from, weight, into) => later().then(() => codec.accumulate(from, weight, into)),
    reduce: async (...work) => later().then(() => reduceHere(codecs, ...work)),
    columns: async (...work) => later().then(() => columnsHere(...work)),
    enter: () => () => {},
    close: async () => {},
  };
}
