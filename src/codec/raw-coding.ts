// Codes the bytes of any float dtype with any codec: one that knows only float32 gets widened
// values.
import { FedStreamError } from '../core/errors.js';
import { narrowInto, widenInto } from '../tensor/widen.js';
import type { Codec, EncodeReport, Prepared, RawValues } from './codec.js';

/** Codes and decodes raw values with any codec. */
export interface RawCoder {
  /** Like `Codec.encodeRaw`. */
  encode(codec: Codec, from: RawValues, elements: number, to: Uint8Array, prepared?: Prepared): EncodeReport;
  /** Like `Codec.decodeRaw`. */
  decode(codec: Codec, from: Uint8Array, elements: number, to: RawValues): void;
}

/**
 * A coder that keeps its buffer of float32 values from chunk to chunk; use one for each chunk in
 * work.
 */
export function rawCoder(): RawCoder {
  let values = new Float32Array(0);
  const room = (elements: number): Float32Array => {
    if (values.length < elements) values = new Float32Array(elements);
    return values.subarray(0, elements);
  };
  return {
    encode(codec, from, elements, to, prepared) {
      if (codec.encodeRaw) return codec.encodeRaw(from, elements, to, prepared);
      return codec.encode(widenInto(from.dtype, from.bytes, room(elements)), to, prepared);
    },
    decode(codec, from, elements, to) {
      if (codec.decodeRaw) {
        codec.decodeRaw(from, elements, to);
        return;
      }
      const decoded = room(elements);
      codec.decode(from, decoded);
      narrowInto(to.dtype, decoded, to.bytes);
    },
  };
}

/** The part of `room` that a code was written to. */
export function written(codec: Codec, room: Uint8Array, { bytes }: EncodeReport): Uint8Array {
  if (!codec.varies) return room;
  if (bytes !== undefined && Number.isInteger(bytes) && bytes >= 0 && bytes <= room.length) return room.subarray(0, bytes);
  throw new FedStreamError(
    'internal',
    `codec ${codec.encoding.codec} reports ${bytes} bytes where at most ${room.length} were to be written`,
  );
}
