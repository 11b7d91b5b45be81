// A codec on whole models: coded and decoded lazily, in a spool, and added up.
import { CODEC_POOL, type Codec, type CodecPool, type CodecTable } from '../codec/codec.js';
import { codecOf } from '../codec/codec-table.js';
import { hasVaryingCodes, mostCodedBytes } from '../codec/layout.js';
import { decodeModel, encodeModel, poolFor } from '../codec/quantize.js';
import { memoryFolder } from '../core/memory-folder.js';
import { sumChunks } from '../exchange/sum-chunks.js';
import { chunkCount, chunkPlaces, tensorRange } from '../tensor/chunks.js';
import { DTYPES, dtypeBytes } from '../tensor/dtype.js';
import { CHUNK_ELEMENTS, type Encoding, type Manifest, RAW, type TensorEntry } from '../tensor/manifest.js';
import type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';
import { narrowInto, widenInto } from '../tensor/widen.js';
import { encodeObjectHead } from '../transfer/object.js';
import { openSpool, writeSpool } from '../transfer/spool.js';
import { callingThreadPool } from './calling-thread-pool.js';
import { check, equal, rejects, sameBytes, sameFloats } from './checks.js';
import { addedByHand, type CodecUnderTest, codedBy, decodedBy, encodingsOf, tableOf } from './codec-samples.js';
import { contentOf, same, weights } from './state-dicts.js';

/** From 2^23 values on models go through codec threads. */
const MODEL_VALUES = 2 ** 23 + 12_345;
/** Chunks are small too where size does not decide on the way. */
const SMALL_CHUNK = 16_384;

/** A codec in a model, and a way for the model to go. */
interface Setting {
  readonly name: string;
  readonly codec: Codec;
  /** Another codec of the same encoding, which has coded nothing. */
  fresh(): Codec;
  readonly encoding: Encoding;
  readonly codecs: CodecTable;
  readonly pool: CodecPool | undefined;
  readonly values: number;
  readonly chunkElements: number;
}

type ModelTest = (setting: Setting) => Promise<void>;

/** The first name at full size through a pool; everything else small. */
function settingsOf(subject: CodecUnderTest): Setting[] {
  const { row, modelValues = MODEL_VALUES } = subject;
  const plain = tableOf(row);
  const pool = subject.pool ?? callingThreadPool(plain);
  const threaded: CodecTable = { ...plain, [CODEC_POOL]: () => pool };
  return encodingsOf(subject).flatMap(([name, encoding], index) => {
    const codec = codecOf(plain, encoding);
    const chunk = Math.max(SMALL_CHUNK, codec.blockSize);
    const fresh = () => codecOf(plain, encoding);
    const small = { codec, fresh, encoding, values: Math.min(modelValues, 2 * chunk + 345), chunkElements: chunk };
    const full = modelValues > CHUNK_ELEMENTS ? { ...small, values: modelValues, chunkElements: CHUNK_ELEMENTS } : small;
    return [
      { ...(index === 0 ? full : small), name: `${name}, with a pool`, codecs: threaded, pool },
      { ...small, name: `${name}, without a pool`, codecs: plain, pool: undefined },
    ];
  });
}

const TESTS: Readonly<Record<string, ModelTest>> = {
  'codes and decodes a model chunk by chunk, each as if it were alone': async (setting) => {
    const { name, codec, fresh, encoding, codecs, pool, values } = setting;
    const model = generated(1, setting);
    if (values >= MODEL_VALUES) equal(poolFor(model, codecs), pool, `${name}: the pool of a model of ${values} values`);
    const coded = encodeModel(model, encodingFor(encoding), codecs, undefined, pool);
    const decoded = decodeModel(coded, codecs, pool);
    const [codes, back] = [coded.chunks()[Symbol.asyncIterator](), decoded.chunks()[Symbol.asyncIterator]()];
    const alone = chunksAlone(fresh, model);
    let most = 0;
    for await (const { chunk, code, values: expected } of alone) {
      const what = `${name}: chunk ${chunk.index} of ${chunk.tensor.name}`;
      const given = (await codes.next()).value as Chunk;
      check(sameBytes(given.bytes, code), `${what} is coded otherwise`);
      most += given.bytes.length;
      check(sameBytes(((await back.next()).value as Chunk).bytes, expected), `${what} is decoded otherwise`);
    }
    check((await codes.next()).done === true && (await back.next()).done === true, `${name}: there are chunks too many`);
    const bound = mostCodedBytes(coded.manifest, codecs);
    check(codec.varies ? most <= bound : most === bound, `${name}: ${most} coded bytes where ${bound} were said`);
    // A range from the middle: nothing is known of the chunks before it.
    const last = chunkCount(model.manifest) - 1;
    for (const first of [1, last - 1]) {
      const range = { first, end: first + 1 };
      const part = await contentOf(decodeModel(coded, codecs, pool), range);
      const [chunk] = await alonesOf(fresh, model, range);
      same(part, [chunk as Uint8Array], `${name}, chunk ${first} alone`);
    }
  },

  'comes out of a spool as it went in, whole and in part': async (setting) => {
    const { name, encoding, codecs, pool } = setting;
    const coded = encodeModel(generated(2, setting), encodingFor(encoding), codecs, undefined, pool);
    const folder = memoryFolder();
    const { totalBytes } = await writeSpool(coded, codecs, folder, 'spool');
    equal(totalBytes, await folder.sizeBytes('spool'), `${name}: bytes of the spool`);
    equal((await folder.list()).join(), 'spool', `${name}: what is left in the folder`);
    const most = encodeObjectHead(coded.manifest).length + mostCodedBytes(coded.manifest, codecs);
    check(hasVaryingCodes(coded.manifest, codecs) ? totalBytes <= most : totalBytes === most, `${name}: ${totalBytes} bytes, not ${most}`);
    const spool = await openSpool(folder, 'spool', codecs);
    equal(JSON.stringify(spool.manifest), JSON.stringify(coded.manifest), `${name}: the manifest in the spool`);
    const [codes, found] = [coded.chunks()[Symbol.asyncIterator](), spool.chunks()[Symbol.asyncIterator]()];
    for (const { index } of chunkPlaces(coded.manifest)) {
      const [a, b] = [(await codes.next()).value as Chunk, (await found.next()).value as Chunk];
      check(sameBytes(a.bytes, b.bytes), `${name}: chunk ${index} has other bytes in the spool`);
    }
    const chunks = chunkCount(coded.manifest);
    for (const range of [
      { first: 1, end: 2 },
      { first: chunks - 2, end: chunks },
    ])
      same(await contentOf(spool, range), await contentOf(coded, range), `${name}, chunks ${range.first} to ${range.end} of the spool`);
    await spool.close?.();
  },

  'is added up with other models, and a sum is coded, to the bit': async (setting) => {
    const { name, codec, encoding, codecs, pool } = setting;
    const [one, other, base] = [generated(3, setting), generated(4, setting), generated(5, setting)];
    const [share, rest] = [Math.fround(1 / 3), Math.fround(2 / 3)];
    const coded = encodeModel(one, encodingFor(encoding), codecs, undefined, pool);
    const addends = [
      { model: coded, weight: share },
      { model: other, weight: rest },
    ];
    const expected = async function* (): AsyncGenerator<{ chunk: Chunk; sum: Float32Array | undefined }> {
      const [a, b, c] = [coded, other, base].map((model) => model.chunks()[Symbol.asyncIterator]());
      for (;;) {
        const chunk = (await a?.next())?.value as Chunk | undefined;
        const [second, third] = [(await b?.next())?.value, (await c?.next())?.value] as [Chunk, Chunk];
        if (!chunk) return;
        if (!DTYPES[chunk.tensor.dtype].quantizable) yield { chunk, sum: undefined };
        else {
          const first = addedByHand(floatsOf(third), share, decodedBy(codec, chunk.bytes, chunk.elements));
          yield { chunk, sum: addedByHand(first, rest, floatsOf(second)) };
        }
      }
    };
    const sum = sumChunks({ addends, base, codecs, pool, what: 'the sum' });
    for await (const { chunk, sum: values } of expected()) {
      const { bytes } = ((await sum.next()).value as { chunk: Chunk }).chunk;
      const right = values ? narrowInto(chunk.tensor.dtype, values, new Uint8Array(4 * values.length)) : chunk.bytes;
      check(sameBytes(bytes, right), `${name}: the sum of chunk ${chunk.index} of ${chunk.tensor.name}`);
    }
    check((await sum.next()).done === true, `${name}: the sum has chunks too many`);
    await checkCodedSum(setting, coded);
  },

  'names tensor and element of a value that is no number': async (setting) => {
    const { name, encoding, codecs, pool, values } = setting;
    const at = Math.min(values - 1, setting.chunkElements + 5);
    const model = generated(6, setting, (w, first) => {
      if (first <= at && at < first + w.length) w[at - first] = Number.NEGATIVE_INFINITY;
    });
    const coded = encodeModel(model, encodingFor(encoding), codecs, undefined, pool);
    const { message } = await rejects(contentOf(coded), ['non-finite'], `${name}: an infinity`);
    equal(message, `tensor w has -Infinity at element ${at}`, `${name}: the message`);
  },
};

/** Coding keeps back the sum less what its code says; looks at the first chunks, in float32. */
async function checkCodedSum({ name, codec, encoding, codecs, pool }: Setting, coded: StateDict): Promise<void> {
  const { tensors } = coded.manifest;
  const manifest: Manifest = {
    ...coded.manifest,
    tensors: tensors.map((tensor) => ({ ...tensor, encoding: encodingFor(encoding)(tensor) })),
  };
  const addends = [{ model: coded, weight: 0.5 }];
  const range = { first: 0, end: Math.min(3, tensorRange(manifest, 0).end) };
  const prepare = async (index: number) => {
    const preparation = codec.prepare?.();
    if (!preparation) return undefined;
    const summing = sumChunks({ addends, codecs, pool: undefined, what: 'the sum' }, tensorRange(manifest, index));
    for await (const { chunk } of summing) preparation.push(floatsOf(chunk));
    return preparation.finish();
  };
  const code = { manifest, prepare, beside: 'kept' } as const;
  const sums = sumChunks({ addends, codecs, pool: undefined, what: 'the sum' }, range);
  for await (const { chunk, beside } of sumChunks({ addends, codecs, pool, what: 'the coded sum', code }, range)) {
    const sum = floatsOf(((await sums.next()).value as { chunk: Chunk }).chunk);
    const decoded = decodedBy(codec, chunk.bytes, chunk.elements);
    const kept = new Float32Array((beside as Uint8Array).slice().buffer);
    sameFloats(kept, addedByHand(sum, -1, decoded), `${name}: what coding keeps back of chunk ${chunk.index}`);
  }
}

/** Every test, on each setting of a codec. */
export const MODEL_TESTS: Readonly<Record<string, (subject: CodecUnderTest) => Promise<void>>> = Object.fromEntries(
  Object.entries(TESTS).map(([title, run]) => [
    title,
    async (subject: CodecUnderTest) => {
      for (const setting of settingsOf(subject)) await run(setting);
    },
  ]),
);

const encodingFor =
  (encoding: Encoding) =>
  ({ dtype }: TensorEntry): Encoding =>
    DTYPES[dtype].quantizable ? encoding : RAW;

/**
 * A model of float32, halves, bfloat16 and counters that is made while it is read. `change` sees
 * the chunks of `w`.
 */
function generated(
  seed: number,
  { values, chunkElements }: Pick<Setting, 'values' | 'chunkElements'>,
  change: (w: Float32Array, first: number) => void = () => {},
): StateDict {
  const entry = (name: string, dtype: TensorEntry['dtype'], ...shape: number[]): TensorEntry => ({ name, dtype, shape, encoding: RAW });
  const tensors = [
    entry('w', 'F32', values),
    entry('empty', 'F32', 0, 3),
    entry('half', 'F16', 3, 3001),
    entry('steps', 'I64', 2),
    entry('brain', 'BF16', 20_001),
    entry('scalar', 'F32'),
  ];
  const manifest: Manifest = { tensors, chunkElements, tied: {}, metadata: {} };
  async function* chunks(range?: ChunkRange): AsyncGenerator<Chunk> {
    const room = new Uint8Array(4 * chunkElements);
    for (const place of chunkPlaces(manifest, range)) {
      const { tensor, firstElement, elements, index } = place;
      const made = weights(seed * 1000 + index, elements);
      if (tensor.name === 'w') change(made, firstElement);
      if (DTYPES[tensor.dtype].quantizable) yield { ...place, bytes: narrowInto(tensor.dtype, made, room) };
      else yield { ...place, bytes: room.subarray(0, dtypeBytes(tensor.dtype, elements)).fill(seed) };
    }
  }
  return { manifest, chunks };
}

function floatsOf({ tensor, bytes, elements }: Chunk): Float32Array {
  return widenInto(tensor.dtype, bytes, new Float32Array(elements));
}

interface Alone {
  readonly chunk: Chunk;
  readonly code: Uint8Array;
  /** Bytes of the dtype. */
  readonly values: Uint8Array;
}

/** Each chunk of a raw model by a codec of its own. */
async function* chunksAlone(fresh: () => Codec, model: StateDict, range?: ChunkRange): AsyncGenerator<Alone> {
  const prepared = await preparations(fresh(), model);
  for await (const chunk of model.chunks(range)) {
    const { dtype, name } = chunk.tensor;
    if (!DTYPES[dtype].quantizable) {
      yield { chunk, code: chunk.bytes, values: chunk.bytes };
      continue;
    }
    const codec = fresh();
    const { bytes: code } = codedBy(codec, floatsOf(chunk), prepared.get(name));
    yield { chunk, code, values: narrowInto(dtype, decodedBy(codec, code, chunk.elements), new Uint8Array(4 * chunk.elements)) };
  }
}

async function alonesOf(fresh: () => Codec, model: StateDict, range: ChunkRange): Promise<Uint8Array[]> {
  const found: Uint8Array[] = [];
  for await (const { values } of chunksAlone(fresh, model, range)) found.push(values);
  return found;
}

async function preparations(codec: Codec, model: StateDict) {
  const open = new Map<string, NonNullable<ReturnType<NonNullable<Codec['prepare']>>>>();
  if (codec.prepare) {
    for await (const chunk of model.chunks()) {
      if (!DTYPES[chunk.tensor.dtype].quantizable) continue;
      const preparation = open.get(chunk.tensor.name) ?? codec.prepare();
      open.set(chunk.tensor.name, preparation);
      preparation.push(floatsOf(chunk));
    }
  }
  return new Map([...open].map(([name, preparation]) => [name, preparation.finish()]));
}
