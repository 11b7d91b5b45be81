// What the reference codecs share: values that are stored, or added with a weight.

/** Decodes `from` and hands each value on with its index. */
export type DecodeInto = (from: Uint8Array, to: Float32Array, store: (i: number, value: number) => void) => void;

/** `decode` and `accumulate` of a codec, as its contract has them. */
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
