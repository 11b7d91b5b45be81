// Codecs as another package would write them: a lossy one of fixed size, and a lossless one whose
// codes vary in size.
import type { Codec, CodecRow, EncodeReport } from '../../src/codec/codec.js';
import { NonFiniteValue } from '../../src/codec/scaling.js';
import { FedStreamError } from '../../src/core/errors.js';
import { narrowInto, widenInto } from '../../src/tensor/widen.js';

const NO_REPORT: EncodeReport = { saturated: 0 };

function checkFinite(values: Float32Array): number {
  let most = 0;
  for (const [i, value] of values.entries()) {
    if (!Number.isFinite(value)) throw new NonFiniteValue(i, value);
    most = Math.max(most, Math.abs(value));
  }
  return most;
}

/** `accumulate` by its definition. */
function added(codec: Pick<Codec, 'decode'>): Codec['accumulate'] {
  return (from, weight, into) => {
    const decoded = new Float32Array(into.length);
    codec.decode(from, decoded);
    for (let i = 0; i < into.length; i++) into[i] = (into[i] as number) + Math.fround(Math.fround(weight) * (decoded[i] as number));
  };
}

/** A float32 step for the chunk, then a signed byte for each value. */
function steps(levels: number): Codec {
  const name = 'steps';
  const encodedBytes = (elements: number): number => 4 + elements;
  const checkSize = (bytes: Uint8Array, elements: number): void => {
    if (bytes.length !== encodedBytes(elements))
      throw new FedStreamError(
        'bad-manifest',
        `a chunk of ${elements} elements in steps has ${encodedBytes(elements)} bytes, not ${bytes.length}`,
      );
  };
  const decode = (from: Uint8Array, to: Float32Array): void => {
    checkSize(from, to.length);
    const view = new DataView(from.buffer, from.byteOffset);
    const step = view.getFloat32(0, true);
    for (let i = 0; i < to.length; i++) to[i] = step * view.getInt8(4 + i);
  };
  return {
    encoding: { codec: name, parameters: { levels } },
    blockSize: 1,
    encodedBytes,
    encode(from, to) {
      checkSize(to, from.length);
      const step = Math.fround(checkFinite(from) / levels);
      const view = new DataView(to.buffer, to.byteOffset);
      view.setFloat32(0, step, true);
      for (let i = 0; i < from.length; i++) view.setInt8(4 + i, step === 0 ? 0 : Math.round((from[i] as number) / step));
      return NO_REPORT;
    },
    decode,
    accumulate: added({ decode }),
  };
}

/** The same with `encodeRaw` and `decodeRaw`. */
function withRaw(codec: Codec): Codec {
  return {
    ...codec,
    encodeRaw: ({ dtype, bytes }, elements, to) => codec.encode(widenInto(dtype, bytes, new Float32Array(elements)), to),
    decodeRaw(from, elements, { dtype, bytes }) {
      const decoded = new Float32Array(elements);
      codec.decode(from, decoded);
      narrowInto(dtype, decoded, bytes);
    },
  };
}

const stepsTraits = { bits: 8, feedback: true, vectors: false, groupBytes: 1, mapValues: 0 };

export const stepsRow: CodecRow = {
  name: 'steps',
  parameters: [{ name: 'levels', default: 100, smallest: 1, largest: 127, kind: 'whole' }],
  lossy: true,
  traits: stepsTraits,
  codec: ({ parameters }) => steps(parameters?.levels as number),
};

export const rawStepsRow: CodecRow = { ...stepsRow, name: 'rawsteps', codec: (encoding) => withRaw(stepsRow.codec(encoding)) };

const RUN_BYTES = 6;
const MOST_RUN = 0xffff;

/**
 * Runs of equal values: a u16 count and a float32 value. At worst a value of four bytes takes six,
 * so that the bound is larger than the values.
 */
function runs(): Codec {
  const badCode = (why: string): FedStreamError => new FedStreamError('bad-manifest', `a chunk in runs ${why}`);
  const decode = (from: Uint8Array, to: Float32Array): void => {
    const view = new DataView(from.buffer, from.byteOffset, from.byteLength);
    if (from.length % RUN_BYTES !== 0) throw badCode(`has ${from.length} bytes`);
    let filled = 0;
    for (let at = 0; at < from.length; at += RUN_BYTES) {
      const count = view.getUint16(at, true);
      if (count === 0 || filled + count > to.length) throw badCode(`has more than ${to.length} values, or an empty run`);
      to.fill(view.getFloat32(at + 2, true), filled, filled + count);
      filled += count;
    }
    if (filled !== to.length) throw badCode(`has ${filled} values, not ${to.length}`);
  };
  return {
    encoding: { codec: 'runs' },
    blockSize: 1,
    varies: true,
    encodedBytes: (elements) => RUN_BYTES * elements,
    encode(from, to) {
      checkFinite(from);
      const bits = new Uint32Array(from.buffer, from.byteOffset, from.length);
      const view = new DataView(to.buffer, to.byteOffset, to.byteLength);
      let bytes = 0;
      for (let i = 0; i < from.length; ) {
        let count = 1;
        while (count < MOST_RUN && bits[i + count] === bits[i]) count++;
        view.setUint16(bytes, count, true);
        view.setFloat32(bytes + 2, from[i] as number, true);
        bytes += RUN_BYTES;
        i += count;
      }
      return { saturated: 0, bytes };
    },
    decode,
    accumulate: added({ decode }),
  };
}

export const runsRow: CodecRow = {
  name: 'runs',
  parameters: [],
  lossy: false,
  traits: { bits: 32, feedback: false, vectors: true, groupBytes: 1, mapValues: 0 },
  codec: runs,
};

/** The same, declared as lossy, so that updates are sent in it. */
export const lossyRunsRow: CodecRow = {
  ...runsRow,
  name: 'sparse',
  lossy: true,
  codec: () => ({ ...runs(), encoding: { codec: 'sparse' } }),
};
