// The part that the reference codecs share: decoded values are stored, or added with a weight.

/** Decodes `from` and passes each value on with its index. */
export type DecodeInto = (from: Uint8Array, to: Float32Array, store: (i: number, value: number) => void) => void;

/** Makes `decode` and `accumulate` of a codec from its `DecodeInto`. */
export function storedOrAdded(decodeInto: DecodeInto) {
  return {
    decode(from: Uint8Array, to: Float32Array): void {
      decodeInto(from, to, (i, value) => {
        to[i] = value;
      });
    },
    accumulate(from: Uint8Array, weight: number, into: Float32Array): void {
      const factor = Math.fround(weight);
      decodeInto(from, into, (i, value) => {
        into[i] = (into[i] as number) + Math.fround(factor * value);
      });
    },
  };
}
