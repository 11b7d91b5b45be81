// Every codec of the table passes its suite, on reference kernels, on SIMD kernels and on threads;
// and the suite finds the faults of others.
import { afterAll, describe, expect, test } from 'vitest';
import type { Codec, CodecRow } from '../../src/codec/codec.js';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { nodeCodecPool } from '../../src/node/codec/codec-pool.js';
import { widenInto } from '../../src/tensor/widen.js';
import { testCodec } from '../../src/testing/codec-conformance.js';
import { runsRow, stepsRow } from '../codecs/outside-codecs.js';
import { loadCodecs } from '../kernels/load-kernels.js';
import { failures } from './failures.js';

/** The most that each may lose of small values, at any size. */
const ERRORS: Readonly<Record<string, number>> = {
  fp16: 0.0005,
  bf16: 0.004,
  blockwise8: 0.015,
  fp4: 0.15,
  nf4: 0.11,
  u1: 0.96,
  u2: 0.45,
  u3: 0.25,
  u4: 0.12,
  topk: 0.98,
};
/** At full size on threads: these alone, since the way is the same for all. */
const FULL = new Set(['fp16', 'nf4', 'u3']);
const SMALL = 40_000;

const pool = nodeCodecPool({ threads: 2 });
afterAll(() => pool.close());
const simd = loadCodecs();

for (const row of Object.values(referenceCodecs)) {
  const { name } = row;
  const error = ERRORS[name];
  testCodec(`${name}, reference`, { row, error, modelValues: SMALL }, test);
  if (!row.kernel) continue;
  testCodec(`${name}, SIMD`, { row: simd[name] as CodecRow, error, reference: row, modelValues: SMALL }, test);
  const threaded = { row: pool.codecs[name] as CodecRow, names: [name], error, reference: row, pool };
  testCodec(`${name}, on threads`, FULL.has(name) ? threaded : { ...threaded, modelValues: 300_000 }, test);
}
testCodec('of another package', { row: stepsRow, error: 0.02 }, test);
testCodec('of another package, of varying size', { row: runsRow, error: 0, modelValues: 300_000 }, test);

describe('the suite finds', () => {
  const small = { modelValues: 300 };
  const found = (row: CodecRow, change: (codec: Codec) => Partial<Codec>) => {
    const changed = {
      ...row,
      codec: (encoding: Parameters<CodecRow['codec']>[0]) => {
        const codec = row.codec(encoding);
        return { ...codec, ...change(codec) };
      },
    };
    return failures((register) => testCodec('wrong', { row: changed, ...small }, register));
  };
  let calls = 0;

  test('nothing where nothing is wrong', async () => {
    for (const row of [stepsRow, runsRow]) expect(await found(row, () => ({}))).toEqual({});
  });

  test.each<[what: string, row: CodecRow, change: (codec: Codec) => Partial<Codec>, title: string, message: RegExp]>([
    [
      'a byte that is not written',
      stepsRow,
      ({ encodedBytes, encode }) => ({
        encode: (from, to) => encode(from, to.subarray(0, encodedBytes(from.length))),
        encodedBytes: (n) => encodedBytes(n) + 1,
      }),
      'writes as many bytes as it says, and all of them',
      /some bytes of the code are what was there before/,
    ],
    [
      'codes that depend on what was coded before',
      stepsRow,
      ({ encode }) => ({
        encode(from, to) {
          const report = encode(from, to);
          if (to.length > 4) to[4] = (to[4] as number) ^ (calls++ & 1);
          return report;
        },
      }),
      'the same values have the same bytes, whatever was coded before',
      /coded again|by another codec of the row/,
    ],
    [
      'a bound that does not hold',
      runsRow,
      ({ encodedBytes }) => ({ encodedBytes: (n) => Math.ceil(encodedBytes(n) / 3) }),
      'values come back, at every size',
      /outside the bounds|reports \d+ bytes/i,
    ],
    [
      'a code of another size that is taken',
      stepsRow,
      ({ decode }) => ({ decode: (from, to) => decode(from.subarray(0, 4 + to.length), to) }),
      'refuses a code that is not of as many values',
      /values and a byte: it did not fail/,
    ],
    [
      'a product that is not rounded',
      stepsRow,
      ({ decode }) => ({
        accumulate(from, weight, into) {
          const decoded = new Float32Array(into.length);
          decode(from, decoded);
          for (let i = 0; i < into.length; i++) into[i] = (into[i] as number) + weight * (decoded[i] as number);
        },
      }),
      'adds what it decodes, each product rounded to float32',
      /with the weight 0.3/,
    ],
    [
      'halves that are taken for bfloat16',
      stepsRow,
      ({ encode }) => ({
        encodeRaw: ({ bytes }, elements, to) => encode(widenInto('BF16', bytes.subarray(0, 2 * elements), new Float32Array(elements)), to),
      }),
      'bytes of a dtype are coded as their values are, and decoded to it',
      /values of F/,
    ],
    [
      'an error that nobody can name',
      stepsRow,
      ({ encode }) => ({
        encode(from, to) {
          if (from.some((value) => !Number.isFinite(value))) throw new Error('not a number');
          return encode(from, to);
        },
      }),
      'finds a value that is no number, and codes on',
      /failed with code undefined/,
    ],
    [
      'a count from a peer that is believed',
      runsRow,
      ({ decode }) => ({
        decode(from, to) {
          if (from.length === 0 || from.length % 6 !== 0) decode(from, to);
          const view = new DataView(from.buffer, from.byteOffset, from.byteLength);
          const all = new Float32Array(to.buffer);
          let at = to.byteOffset / 4;
          for (let run = 0; run + 6 <= from.length; run += 6)
            for (let left = view.getUint16(run, true); left > 0; left--) all[at++] = view.getFloat32(run + 2, true);
        },
      }),
      'bytes of any kind are decoded or refused, and nothing else is written to',
      /it wrote \d+ places from where its own begin/,
    ],
    [
      'an encoding that does not say which',
      stepsRow,
      () => ({ encoding: { codec: 'steps' } }),
      'its names come back, and so do its encodings from a manifest',
      /what the codec of steps says that it is/,
    ],
    [
      'a codec that remembers the chunk before',
      stepsRow,
      ({ encode }) => {
        // The first chunk decides on the sign of all.
        let first: number | undefined;
        return {
          encode(from, to) {
            first ??= from[0];
            const report = encode(from, to);
            if ((first as number) !== from[0]) to[0] = (to[0] as number) ^ 1;
            return report;
          },
        };
      },
      'codes and decodes a model chunk by chunk, each as if it were alone',
      /chunk 1 of half is coded otherwise/,
    ],
  ])('%s', async (_, row, change, title, message) => {
    expect(await found(row, change)).toMatchObject({ [title]: expect.stringMatching(message) });
  });

  test('kernels with other bits than their reference', async () => {
    const reference = { ...stepsRow, codec: () => stepsRow.codec({ codec: 'steps', parameters: { levels: 99 } }) };
    const failed = await failures((register) => testCodec('wrong', { row: stepsRow, reference, names: ['steps'], ...small }, register));
    expect(failed).toEqual({ 'has the bits of its reference': expect.stringMatching(/steps, 1 values, small: other codes/) });
  });
});
