// Codecs of other packages, which codec threads lack, at sizes where models go through threads: the
// results are those of small pieces, with and without functions of their own for raw bytes.
import { afterAll, expect, test } from 'vitest';
import { CODEC_POOL, type CodecTable } from '../../src/codec/codec.js';
import { parseCodecName } from '../../src/codec/codec-name.js';
import { codecOf } from '../../src/codec/codec-table.js';
import { decodeModel, encodeModel, poolFor } from '../../src/codec/quantize.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import { writeCodedSum } from '../../src/exchange/coded-sum.js';
import { contentDigest } from '../../src/exchange/content-digest.js';
import { checkFinite } from '../../src/exchange/finite.js';
import { reduceChunks } from '../../src/exchange/reduce.js';
import { nodeCodecPool } from '../../src/node/codec/codec-pool.js';
import { nodeCodecs } from '../../src/node/codec/codecs.js';
import { digestOf } from '../../src/stream/leaf-sums.js';
import type { Dtype } from '../../src/tensor/dtype.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import { openSafetensors } from '../../src/tensor/safetensors.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import { narrowInto, widenInto } from '../../src/tensor/widen.js';
import { openSpool } from '../../src/transfer/spool.js';
import { rawStepsRow, runsRow, stepsRow } from './outside-codecs.js';

const pool = nodeCodecPool({ threads: 2 });
afterAll(() => pool.close());
/** The key of a row in a table does not matter. */
const threaded: CodecTable = { ...nodeCodecs(), stepsRow, rawStepsRow, runsRow, [CODEC_POOL]: () => pool };
const { [CODEC_POOL]: _, ...plain } = threaded;
const NAMES = ['steps:31', 'rawsteps', 'runs'];

/** Just above the size from which models go through threads. */
const ELEMENTS = 2 ** 23 + 12_345;

/** Values in runs, of several dtypes; no two chunks are equal. */
function model(seed: number, elements = ELEMENTS): StateDict {
  const values = (count: number, shift: number): Float32Array => {
    const made = new Float32Array(count);
    for (let i = 0; i < count; i++) made[i] = Math.sin((i >>> 3) * 0.37 + seed + shift) * 0.1;
    return made;
  };
  const half = (dtype: Dtype, shift: number) => ({
    name: dtype,
    dtype,
    shape: [30_001],
    data: narrowInto(dtype, values(30_001, shift), new Uint8Array(60_002)),
  });
  return memoryStateDict([
    { name: 'w', dtype: 'F32', shape: [elements], data: values(elements, 0) },
    half('F16', 1),
    { name: 'steps', dtype: 'I64', shape: [2], data: BigInt64Array.of(BigInt(seed), 9n) },
    half('BF16', 2),
  ]);
}

async function digests(of: StateDict | AsyncIterable<{ bytes: Uint8Array }>): Promise<string[]> {
  const found: string[] = [];
  for await (const { bytes } of 'chunks' in of ? of.chunks() : of) found.push(`${bytes.length} ${await digestOf(bytes.slice())}`);
  return found;
}

const encodingFor = (name: string) => (tensor: { dtype: string }) =>
  tensor.dtype === 'I64' ? { codec: 'raw' } : parseCodecName(name, plain);

/** Each chunk coded on its own, by the codec alone. */
async function codedAlone(name: string, from: StateDict): Promise<{ coded: string[]; decoded: string[] }> {
  const codec = codecOf(plain, parseCodecName(name, plain));
  const coded: string[] = [];
  const decoded: string[] = [];
  for await (const { tensor, elements, bytes } of from.chunks()) {
    if (tensor.dtype === 'I64') {
      for (const found of [coded, decoded]) found.push(`${bytes.length} ${await digestOf(bytes)}`);
      continue;
    }
    const room = new Uint8Array(codec.encodedBytes(elements));
    const report = codec.encode(widenInto(tensor.dtype, bytes, new Float32Array(elements)), room);
    const code = room.subarray(0, report.bytes ?? room.length);
    coded.push(`${code.length} ${await digestOf(code)}`);
    const values = new Float32Array(elements);
    codec.decode(code, values);
    const raw = narrowInto(tensor.dtype, values, new Uint8Array(4 * elements));
    decoded.push(`${raw.length} ${await digestOf(raw)}`);
  }
  return { coded, decoded };
}

test.each(NAMES)('%s: coded and decoded at the size of threads', async (name) => {
  expect(poolFor(model(1), threaded)).toBe(pool);
  const expected = await codedAlone(name, model(1));
  const coded = encodeModel(model(1), encodingFor(name), threaded);
  expect(await digests(coded)).toEqual(expected.coded);
  expect(await digests(decodeModel(coded, threaded))).toEqual(expected.decoded);
  const alone = encodeModel(model(1), encodingFor(name), plain);
  expect(await digests(decodeModel(alone, plain))).toEqual(expected.decoded);
});

/** Addends in codecs that threads have, and one in a codec that they lack. */
function addends(names: readonly string[], codecs: CodecTable) {
  return names.map((name, i) => ({ model: encodeModel(model(i), encodingFor(name), codecs), weight: Math.fround(1 / (i + 2)) }));
}

test('reduce: addends in codecs that the threads have, and in some that they lack', async () => {
  const names = ['nf4', 'steps:31', 'fp32', 'runs', 'u4'];
  const sum = (codecs: CodecTable) =>
    digests(reduceChunks({ addends: addends(names, codecs), base: model(9), codecs, pool: poolFor(model(0), codecs), what: 'the sum' }));
  expect(await sum(threaded)).toEqual(await sum(plain));
});

test.each([
  ['steps:31', 'kept'],
  ['rawsteps', 1],
  ['runs', 'kept'],
  ['runs', 1],
] as const)('%s: a coded sum, and beside it %s', async (name, of) => {
  const results = await Promise.all(
    [threaded, plain].map(async (codecs) => {
      const folder = memoryFolder();
      const { info, besideDigest } = await writeCodedSum({
        addends: [
          { model: counted(1), weight: 1 },
          { model: counted(2), weight: -1 },
        ],
        codecs,
        what: 'the update',
        encodingFor: encodingFor(name),
        spool: { folder, name: 'update' },
        beside: { folder, name: 'beside', of, has: (tensor) => tensor.dtype === 'F32' },
      });
      const spool = await openSpool(folder, 'update', codecs);
      const beside = await openSafetensors(folder, 'beside');
      expect(await contentDigest(beside, plain)).toBe(besideDigest);
      expect(info.totalBytes).toBe(await folder.sizeBytes('update'));
      return { digest: info.digest, besideDigest, values: await digests(decodeModel(spool, codecs)) };
    }),
  );
  expect(results[0]).toEqual(results[1]);
});

/** A float32 model of many values, and a counter. */
function counted(seed: number): StateDict {
  const data = new Float32Array(ELEMENTS);
  for (let i = 0; i < ELEMENTS; i++) data[i] = ((i >>> 4) % 97) * seed * 0.01;
  return memoryStateDict([
    { name: 'w', dtype: 'F32', shape: [ELEMENTS], data },
    { name: 'n', dtype: 'I64', shape: [1], data: BigInt64Array.of(BigInt(seed)) },
  ]);
}

test.each(NAMES)('%s: a NaN is detected', async (name) => {
  const { manifest, chunks } = encodeModel(counted(1), encodingFor(name), threaded);
  async function* poisoned(): AsyncGenerator<{ bytes: Uint8Array }> {
    for await (const chunk of chunks()) {
      const bytes = chunk.bytes.slice();
      // The step of a chunk, or the value of its first run.
      if (chunk.index === 3) new DataView(bytes.buffer).setFloat32(name.includes('steps') ? 0 : 2, Number.NaN, true);
      yield { ...chunk, bytes };
    }
  }
  const bad = { manifest, chunks: poisoned } as unknown as StateDict;
  await expect(checkFinite(bad, 'the result of x', threaded)).rejects.toMatchObject({
    code: 'non-finite',
    message: expect.stringMatching(/^the result of x: tensor w has NaN at element 786432; it is refused$/),
  });
  const values = new Float32Array(ELEMENTS);
  values[5_000_000] = Number.POSITIVE_INFINITY;
  const infinite = memoryStateDict([{ name: 'w', dtype: 'F32', shape: [ELEMENTS], data: values }]);
  await expect(digests(encodeModel(infinite, encodingFor(name), threaded))).rejects.toThrow('tensor w has Infinity at element 5000000');
});

test('a codec with the name of one of the threads’ is taken from the table', async () => {
  const own = { ...stepsRow, name: 'nf4' };
  const codecs: CodecTable = { ...threaded, nf4: own };
  const coded = encodeModel(
    model(1),
    (tensor) => (tensor.dtype === 'I64' ? { codec: 'raw' } : { codec: 'nf4', parameters: { levels: 31 } }),
    codecs,
  );
  expect(await digests(decodeModel(coded, codecs))).toEqual((await codedAlone('steps:31', model(1))).decoded);
});
