// The suite that every codec passes: what `Codec` and `CodecRow` promise (codec/codec.ts).
import type { Codec } from '../codec/codec.js';
import { codecLabel, parseCodecName } from '../codec/codec-name.js';
import { codecTable, codecTraits } from '../codec/codec-rows.js';
import { codecOf } from '../codec/codec-table.js';
import { rawCoder, written } from '../codec/raw-coding.js';
import { NonFiniteValue } from '../codec/scaling.js';
import { codedSize } from '../codec/sizes.js';
import { FedStreamError } from '../core/errors.js';
import { HEAP } from '../tensor/chunk-memory.js';
import type { Dtype } from '../tensor/dtype.js';
import { CHUNK_ELEMENTS, type Encoding, type Manifest } from '../tensor/manifest.js';
import { encodeManifest, parseManifest } from '../tensor/manifest-json.js';
import { narrowInto, widenInto } from '../tensor/widen.js';
import { check, equal, type RegisterTest, sameBytes, sameFloats, seededBytes, throws } from './checks.js';
import { MODEL_TESTS } from './codec-models.js';
import {
  addedByHand,
  type CodecUnderTest,
  codedBy,
  decodedBy,
  ENDS,
  encodingsOf,
  MANY,
  namesBeyond,
  preparedFor,
  sizesOf,
  tableOf,
  VALUES,
} from './codec-samples.js';
import { weights } from './state-dicts.js';

/** Registers every test under `Codec <name>: …`; the exceptions are left out. */
export function testCodec(name: string, subject: CodecUnderTest, test: RegisterTest): void {
  for (const [title, run] of Object.entries({ ...ROW_TESTS, ...codecTests(CODEC_TESTS), ...MODEL_TESTS })) {
    if (subject.exceptions?.[title] === undefined) test(`Codec ${name}: ${title}`, () => run(subject));
  }
}

type RowTest = (subject: CodecUnderTest) => Promise<void>;
/** A test of one encoding; `name` is as people write it. */
type CodecTest = (codec: Codec, name: string, subject: CodecUnderTest) => void;

/** Each test of a codec runs on every encoding of the row. */
function codecTests(tests: Readonly<Record<string, CodecTest>>): Record<string, RowTest> {
  const each = (run: CodecTest) => async (subject: CodecUnderTest) => {
    for (const [name, encoding] of encodingsOf(subject)) run(codecOf(tableOf(subject.row), encoding), name, subject);
  };
  return Object.fromEntries(Object.entries(tests).map(([title, run]) => [title, each(run)]));
}

const ROW_TESTS: Readonly<Record<string, RowTest>> = {
  'its names come back, and so do its encodings from a manifest': async (subject) => {
    const table = tableOf(subject.row);
    codecTable(subject.row); // throws where a name or a default cannot be
    const encodings = encodingsOf(subject);
    check(encodings.length > 0, 'it has no name');
    for (const [name, encoding] of encodings) {
      equal(JSON.stringify(parseCodecName(codecLabel(encoding, table), table)), JSON.stringify(encoding), `${name}, by its label`);
      equal(key(codecOf(table, encoding).encoding), key(encoding), `what the codec of ${name} says that it is`);
      const manifest = manifestOf(encoding, 1000);
      equal(JSON.stringify(parseManifest(encodeManifest(manifest), 'a peer')), JSON.stringify(manifest), `a manifest with ${name}`);
      equal(key(codecOf(table, { ...encoding }).encoding), key(encoding), `${name} from a peer`);
    }
  },

  'numbers that it does not take are refused': async ({ row }) => {
    const table = tableOf(row);
    for (const name of namesBeyond(row)) throws(() => parseCodecName(name, table), ['bad-argument'], name);
    const { name: codec } = row;
    const lies: Encoding[] = [{ codec, parameters: { noParameter: 1 } }, ...(row.nested ? [] : [{ codec, nested: true }])];
    for (const { name, smallest, largest } of row.parameters)
      for (const value of [smallest - 1, largest + 1, Number.NaN])
        lies.push(name === 'blockSize' ? { codec, blockSize: value } : { codec, parameters: { [name]: value } });
    for (const encoding of lies) throws(() => codecOf(table, encoding), ['bad-manifest'], JSON.stringify(encoding));
  },

  'its traits fit its sizes': async (subject) => {
    const table = tableOf(subject.row);
    for (const [name, encoding] of encodingsOf(subject)) {
      const { bits, groupBytes, mapValues } = codecTraits(table, encoding);
      check(bits > 0 && Number.isFinite(bits), `${name}: bits are ${bits}`);
      check(Number.isInteger(groupBytes) && groupBytes > 0, `${name}: groupBytes is ${groupBytes}`);
      check(Number.isInteger(mapValues) && mapValues >= 0, `${name}: mapValues is ${mapValues}`);
      const { scaleBytes } = codedSize(manifestOf(encoding, CHUNK_ELEMENTS), encoding, table);
      check(scaleBytes >= 0, `${name}: its codes alone would be ${-scaleBytes} bytes larger than what it makes`);
    }
  },
};

function key({ codec, blockSize, nested = false, parameters = {} }: Encoding): string {
  return JSON.stringify([codec, blockSize, nested, Object.entries(parameters).sort()]);
}

function manifestOf(encoding: Encoding, elements: number): Manifest {
  return { tensors: [{ name: 'w', dtype: 'F32', shape: [elements], encoding }], chunkElements: CHUNK_ELEMENTS, tied: {}, metadata: {} };
}

/** Sizes, at each of which a test goes through every kind of values. */
function eachSample(codec: Codec, run: (values: Float32Array, what: string) => void): void {
  for (const size of sizesOf(codec))
    for (const [kind, make] of Object.entries(VALUES)) if (size < MANY || kind === 'small') run(make(size), `${size} values, ${kind}`);
  run(ENDS.slice(), 'the ends of float32');
}

const CODEC_TESTS: Readonly<Record<string, CodecTest>> = {
  'values come back, at every size': (codec, name, subject) => {
    const { row, error = 1 } = subject;
    const first = encodingsOf(subject)[0]?.[0];
    for (const size of sizesOf(codec, true)) {
      for (const [kind, make] of Object.entries(VALUES)) {
        if (size > MANY && kind !== 'small') continue;
        const values = make(size);
        const what = `${name}, ${size} values, ${kind}`;
        const decoded = decodedBy(codec, codedBy(codec, values).bytes, size);
        const bad = decoded.findIndex((value) => !Number.isFinite(value));
        check(bad < 0, `${what}: value ${bad}, ${values[bad]}, comes back as ${decoded[bad]}`);
        if (!row.lossy) sameFloats(decoded, values, what);
        if (kind.startsWith('of every') || kind.startsWith('one')) continue; // the largest value decides on all
        const most = kind === 'small' && name === first ? error : 1;
        const lost = relativeError(values, decoded);
        check(lost <= most, `${what}: coding loses ${lost.toPrecision(3)} of them, more than ${most}`);
      }
    }
    if (!row.lossy) sameFloats(decodedBy(codec, codedBy(codec, ENDS).bytes, ENDS.length), ENDS, `${name}, the ends of float32`);
  },

  'writes as many bytes as it says, and all of them': (codec, name) => {
    let before = 0;
    for (const size of sizesOf(codec, true)) {
      const bytes = codec.encodedBytes(size);
      check(Number.isSafeInteger(bytes) && bytes >= before, `${name}: ${size} values have ${bytes} bytes, fewer values ${before}`);
      before = bytes;
    }
    eachSample(codec, (values, what) => {
      const prepared = preparedFor(codec, values);
      const codes = [0, 0xff].map((fill) => {
        const around = new Uint8Array(codec.encodedBytes(values.length) + 64).fill(fill);
        const room = around.subarray(32, around.length - 32);
        const report = codec.encode(values, room, prepared);
        check(Number.isInteger(report.saturated) && report.saturated >= 0, `${name}, ${what}: ${report.saturated} values saturated`);
        if (codec.varies) check(report.bytes !== undefined, `${name}, ${what}: it varies, and does not report its bytes`);
        checkAround(around, room, fill, `${name}, ${what}`);
        return written(codec, room, report).slice();
      }) as [Uint8Array, Uint8Array];
      check(sameBytes(...codes), `${name}, ${what}: some bytes of the code are what was there before`);
    });
  },

  'the same values have the same bytes, whatever was coded before': (codec, name, { row }) => {
    const other = codecOf(tableOf(row), codec.encoding);
    eachSample(codec, (values, what) => {
      const before = values.slice();
      const { bytes, prepared } = codedBy(codec, values);
      codedBy(codec, weights(11, 777));
      check(sameBytes(codedBy(codec, values).bytes, bytes), `${name}, ${what}: coded again`);
      check(sameBytes(codedBy(other, values, prepared).bytes, bytes), `${name}, ${what}: by another codec of the row`);
      sameFloats(values, before, `${name}, ${what}: the values that were given`);
      const code = bytes.slice();
      const decoded = decodedBy(codec, bytes, values.length);
      sameFloats(decodedBy(other, bytes, values.length), decoded, `${name}, ${what}: decoded by another codec of the row`);
      check(sameBytes(bytes, code), `${name}, ${what}: decoding changed the code`);
    });
  },

  'works wherever buffers lie': (codec, name) => {
    for (const lender of codec.memory ? [HEAP, codec.memory] : [HEAP]) {
      for (const size of sizesOf(codec)) {
        const what = `${name}, ${size} values`;
        const values = VALUES.small?.(size) as Float32Array;
        const { bytes, prepared } = codedBy(codec, values);
        const lent = [lender.borrow(4 * size + 16), lender.borrow(codec.encodedBytes(size) + 16), lender.borrow(4 * size + 16)] as const;
        const [given, coded, decoded] = lent;
        const from = new Float32Array(given.buffer, given.byteOffset + 4, size);
        from.set(values);
        const room = coded.subarray(7, 7 + codec.encodedBytes(size));
        const code = written(codec, room, codec.encode(from, room, prepared));
        check(sameBytes(code, bytes), `${what}: coded at an odd address`);
        const to = new Float32Array(decoded.buffer, decoded.byteOffset + 12, size);
        codec.decode(code, to);
        sameFloats(to, decodedBy(codec, bytes, size), `${what}: decoded at an odd address`);
        codec.accumulate(code, 1, to);
        const twice = decodedBy(codec, bytes, size);
        sameFloats(to, addedByHand(twice, 1, twice), `${what}: added at an odd address`);
        for (const buffer of lent) lender.giveBack(buffer);
      }
    }
  },

  'refuses a code that is not of as many values': (codec, name) => {
    const refuses = (bytes: Uint8Array, elements: number, what: string): void => {
      const around = new Float32Array(elements + 16).fill(7);
      const to = around.subarray(8, 8 + elements);
      throws(() => codec.decode(bytes, to), ['bad-manifest'], `${name}: decoding ${what}`);
      throws(() => codec.accumulate(bytes, 1, to), ['bad-manifest'], `${name}: adding ${what}`);
      const raw = { dtype: 'BF16' as Dtype, bytes: new Uint8Array(2 * elements) };
      throws(() => rawCoder().decode(codec, bytes, elements, raw), ['bad-manifest'], `${name}: decoding ${what} to BF16`);
      checkAround(around, to, 7, `${name}: ${what}`);
    };
    for (const size of sizesOf(codec).filter((one) => one > 0)) {
      const { bytes } = codedBy(codec, VALUES['of every magnitude']?.(size) as Float32Array);
      refuses(bytes.subarray(0, -1), size, `${size} values without the last byte`);
      const longer = new Uint8Array(bytes.length + 1);
      longer.set(bytes);
      refuses(longer, size, `${size} values and a byte`);
      refuses(new Uint8Array(0), size, `nothing as ${size} values`);
      refuses(new Uint8Array(codec.encodedBytes(size) + 5), size, `5 bytes more than ${size} values can have`);
    }
  },

  'adds what it decodes, each product rounded to float32': (codec, name) => {
    eachSample(codec, (values, what) => {
      const { bytes } = codedBy(codec, values);
      const decoded = decodedBy(codec, bytes, values.length);
      for (const weight of [1, -1, Math.fround(0.3), 0]) {
        const start = weights(9, values.length).map((value, i) => (i % 7 === 0 ? -0 : value));
        const around = new Float32Array(values.length + 16).fill(7);
        const into = around.subarray(8, 8 + values.length);
        into.set(start);
        codec.accumulate(bytes, weight, into);
        sameFloats(into, addedByHand(start, weight, decoded), `${name}, ${what}, with the weight ${weight}`);
        checkAround(around, into, 7, `${name}, ${what}, added`);
      }
    });
  },

  'bytes of a dtype are coded as their values are, and decoded to it': (codec, name) => {
    const raw = rawCoder();
    for (const size of sizesOf(codec)) {
      for (const dtype of ['F32', 'F16', 'BF16'] as const) {
        const what = `${name}, ${size} values of ${dtype}`;
        const bytes = new Uint8Array(4 * size + 1).subarray(1);
        const given = narrowInto(dtype, VALUES.small?.(size) as Float32Array, bytes);
        const values = widenInto(dtype, given, new Float32Array(size));
        const expected = codedBy(codec, values);
        const room = new Uint8Array(codec.encodedBytes(size));
        const report = raw.encode(codec, { dtype, bytes: given }, size, room, expected.prepared);
        check(sameBytes(written(codec, room, report), expected.bytes), `${what}: another code`);
        equal(report.saturated, expected.report.saturated, `${what}: how many saturated`);
        const back = narrowInto(dtype, decodedBy(codec, expected.bytes, size), new Uint8Array(4 * size));
        const around = new Uint8Array(back.length + 34).fill(7);
        const to = around.subarray(17, 17 + back.length);
        raw.decode(codec, expected.bytes, size, { dtype, bytes: to });
        check(sameBytes(to, back), `${what}: decoded otherwise`);
        checkAround(around, to, 7, what);
      }
    }
  },

  'finds a value that is no number, and codes on': (codec, name) => {
    const raw = rawCoder();
    for (const size of sizesOf(codec).filter((one) => one > 0)) {
      const values = VALUES.small?.(size) as Float32Array;
      const { bytes } = codedBy(codec, values);
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        for (const index of new Set([0, size >> 1, size - 1])) {
          const bad = values.with(index, value);
          const what = `${name}: ${value} at ${index} of ${size}`;
          checkFound(() => codedBy(codec, bad), index, value, what);
          const given = { dtype: 'BF16' as Dtype, bytes: narrowInto('BF16', bad, new Uint8Array(2 * size)) };
          const room = new Uint8Array(codec.encodedBytes(size));
          checkFound(() => raw.encode(codec, given, size, room, preparedFor(codec, values)), index, value, `${what}, in BF16`);
        }
      }
      check(sameBytes(codedBy(codec, values).bytes, bytes), `${name}: ${size} values after some that were no numbers`);
    }
  },

  'bytes of any kind are decoded or refused, and nothing else is written to': (codec, name) => {
    for (const size of sizesOf(codec).filter((one) => one > 0)) {
      const { bytes } = codedBy(codec, VALUES.small?.(size) as Float32Array);
      const decoded = decodedBy(codec, bytes, size);
      for (let seed = 0; seed < 12; seed++)
        checkHostile(codec, hostile(codec, bytes, size, seed), size, `${name}: hostile bytes ${seed} of ${size}`);
      sameFloats(decodedBy(codec, bytes, size), decoded, `${name}: ${size} values after hostile bytes`);
    }
  },

  'has the bits of its reference': (codec, name, { reference }) => {
    if (!reference) return;
    const right = codecOf(tableOf(reference), codec.encoding);
    const compare = (values: Float32Array, what: string): void => {
      const [expected, found] = [codedBy(right, values), codedBy(codec, values)];
      equal(JSON.stringify(found.prepared), JSON.stringify(expected.prepared), `${name}, ${what}: what it learns of the tensor`);
      equal(JSON.stringify(found.report), JSON.stringify(expected.report), `${name}, ${what}: what it reports`);
      check(sameBytes(found.bytes, expected.bytes), `${name}, ${what}: other codes`);
      sameFloats(decodedBy(codec, found.bytes, values.length), decodedBy(right, found.bytes, values.length), `${name}, ${what}, decoded`);
    };
    for (const size of sizesOf(codec)) equal(codec.encodedBytes(size), right.encodedBytes(size), `${name}: bytes of ${size} values`);
    equal(codec.blockSize, right.blockSize, `${name}: its blocks`);
    eachSample(codec, compare);
    compare(VALUES.small?.(CHUNK_ELEMENTS) as Float32Array, 'a full chunk');
  },
};

function relativeError(values: Float32Array, decoded: Float32Array): number {
  let lost = 0;
  let all = 0;
  for (let i = 0; i < values.length; i++) {
    lost += ((decoded[i] as number) - (values[i] as number)) ** 2;
    all += (values[i] as number) ** 2;
  }
  return lost === 0 ? 0 : Math.sqrt(lost / all);
}

/** Everything before and behind a part of a buffer is still `fill`. */
function checkAround(around: Uint8Array | Float32Array, part: Uint8Array | Float32Array, fill: number, what: string): void {
  const first = (part.byteOffset - around.byteOffset) / around.BYTES_PER_ELEMENT;
  for (let i = 0; i < around.length; i++) {
    if (i === first) i += part.length;
    if (i < around.length && around[i] !== fill) throw new Error(`${what}: it wrote ${i - first} places from where its own begin`);
  }
}

function checkFound(work: () => unknown, index: number, value: number, what: string): void {
  const error = throws(work, ['non-finite'], what);
  check(error instanceof NonFiniteValue, `${what}: it throws another error than NonFiniteValue, so nobody can name the tensor`);
  equal(error.index, index, `${what}: the index`);
  equal(error.value, value, `${what}: the value`);
}

/** Bytes that a peer might send as a code of so many values. */
function hostile(codec: Codec, code: Uint8Array, size: number, seed: number): Uint8Array {
  const most = codec.encodedBytes(size);
  const length = codec.varies ? Math.min(most, code.length + seed - 6) : most;
  if (seed === 0) return new Uint8Array(length).fill(0xff);
  if (seed === 1) return new Uint8Array(length);
  const noisy = seededBytes(seed, Math.max(0, length));
  if (seed % 2 === 0) return noisy;
  return noisy.map((byte, i) => ((byte & 15) === 0 ? byte : (code[i] ?? byte)));
}

function checkHostile(codec: Codec, bytes: Uint8Array, size: number, what: string): void {
  const before = bytes.slice();
  const around = new Float32Array(size + 32).fill(7);
  const to = around.subarray(16, 16 + size);
  const done = (work: () => void): boolean => {
    try {
      work();
      return true;
    } catch (error) {
      check(error instanceof FedStreamError && error.code === 'bad-manifest', `${what}: it throws ${String(error)}`);
      return false;
    }
  };
  const decodes = done(() => codec.decode(bytes, to));
  checkAround(around, to, 7, `${what}, decoded`);
  const decoded = to.slice();
  const start = weights(2, size);
  to.set(start);
  const adds = done(() => codec.accumulate(bytes, 0.5, to));
  checkAround(around, to, 7, `${what}, added`);
  equal(adds, decodes, `${what}: whether it is added, as it is decoded`);
  if (adds) sameFloats(to, addedByHand(start, 0.5, decoded), `${what}, added`);
  const raw = new Uint8Array(2 * size + 32).fill(7);
  const half = raw.subarray(15, 15 + 2 * size);
  equal(
    done(() => rawCoder().decode(codec, bytes, size, { dtype: 'BF16', bytes: half })),
    decodes,
    `${what}: whether it is decoded to BF16`,
  );
  checkAround(raw, half, 7, `${what}, decoded to BF16`);
  check(sameBytes(bytes, before), `${what}: they were changed`);
}
