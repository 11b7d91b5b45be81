// A sum that is coded, and what is beside it: one pass gives what separate passes give, for every
// codec.
import { expect, test } from 'vitest';
import { codecNames, parseCodecName } from '../codec/codec-name.js';
import { referenceCodecs } from '../codec/codec-table.js';
import { decodeModel, encodeModel } from '../codec/quantize.js';
import { memoryFolder } from '../core/memory-folder.js';
import type { Folder } from '../core/storage.js';
import { memoryStateDict } from '../tensor/memory-state-dict.js';
import { openSafetensors } from '../tensor/safetensors.js';
import type { StateDict } from '../tensor/state-dict.js';
import { narrowInto } from '../tensor/widen.js';
import { openSpool } from '../transfer/spool.js';
import { writeCodedSum } from './coded-sum.js';
import { bytesDigest, contentDigest } from './content-digest.js';
import { reduceChunks } from './reduce.js';

const ELEMENTS = 40_001;

function model(seed: number, steps: number): StateDict {
  const values = (shift: number): Float32Array =>
    Float32Array.from({ length: ELEMENTS }, (_, i) => Math.sin(i * i * 0.37 + seed + shift) * 0.1);
  return memoryStateDict(
    [
      { name: 'a', dtype: 'F32', shape: [ELEMENTS], data: values(0) },
      { name: 'steps', dtype: 'I64', shape: [2], data: BigInt64Array.of(BigInt(steps), 9n) },
      { name: 'b', dtype: 'F32', shape: [ELEMENTS], data: values(1) },
    ],
    { chunkElements: 16_384 },
  );
}

async function valuesOf(of: StateDict): Promise<Map<string, number[]>> {
  const found = new Map<string, number[]>();
  for await (const { tensor, bytes } of of.chunks()) {
    const values = tensor.dtype === 'F32' ? [...new Float32Array(bytes.slice().buffer)] : [...bytes];
    found.set(tensor.name, [...(found.get(tensor.name) ?? []), ...values]);
  }
  return found;
}

const [trained, given, residual] = [model(1, 5), model(2, 4), model(3, 3)];
const terms = [
  { model: trained, weight: 1 },
  { model: given, weight: -1 },
];
const f = Math.fround;

test.each(codecNames(referenceCodecs))('%s: the code of a sum, and what it keeps back', async (name) => {
  const encoding = parseCodecName(name, referenceCodecs);
  const folder = memoryFolder();
  const { info, besideDigest } = await writeCodedSum({
    addends: [...terms, { model: residual, weight: 1 }],
    codecs: referenceCodecs,
    what: 'the update',
    encodingFor: () => encoding,
    spool: { folder, name: 'update' },
    beside: { folder, name: 'kept', of: 'kept', has: (tensor) => tensor.name === 'b' },
  });
  const sum: number[] = [];
  const [t, g, r] = [await valuesOf(trained), await valuesOf(given), await valuesOf(residual)];
  for (let i = 0; i < ELEMENTS; i++)
    sum.push(f(f((t.get('b')?.[i] as number) - (g.get('b')?.[i] as number)) + (r.get('b')?.[i] as number)));
  const wanted = memoryStateDict([{ name: 'b', dtype: 'F32', shape: [ELEMENTS], data: Float32Array.from(sum) }], { chunkElements: 16_384 });
  const decoded = await valuesOf(
    decodeModel(
      encodeModel(wanted, () => encoding, referenceCodecs),
      referenceCodecs,
    ),
  );
  const spool = await openSpool(folder, 'update', referenceCodecs);
  const sent = await valuesOf(decodeModel(spool, referenceCodecs));
  expect(sent.get('b')).toEqual(decoded.get('b'));
  expect(sent.get('steps')).toEqual(t.get('steps'));
  const kept = await openSafetensors(folder, 'kept', { chunkElements: 16_384 });
  expect(kept.manifest.tensors.map((tensor) => tensor.name)).toEqual(['b']);
  expect((await valuesOf(kept)).get('b')).toEqual(sum.map((value, i) => f(value - (decoded.get('b')?.[i] as number))));
  expect(await contentDigest(kept, referenceCodecs)).toBe(besideDigest);
  expect(info.totalBytes).toBe(await folder.sizeBytes('update'));
});

test('what is kept back may be rounded to 16 bits, in a file of that dtype', async () => {
  const write = async (folder: Folder, dtype?: 'BF16') => {
    const { besideDigest } = await writeCodedSum({
      addends: terms,
      codecs: referenceCodecs,
      what: 'the update',
      encodingFor: () => parseCodecName('u4', referenceCodecs),
      spool: { folder, name: 'update' },
      beside: { folder, name: 'kept', of: 'kept', has: () => true, ...(dtype && { dtype }) },
    });
    return { kept: await openSafetensors(folder, 'kept', { chunkElements: 16_384 }), digest: besideDigest };
  };
  const exact = await valuesOf((await write(memoryFolder())).kept);
  const { kept, digest } = await write(memoryFolder(), 'BF16');
  expect(kept.manifest.tensors.map(({ dtype }) => dtype)).toEqual(['BF16', 'I64', 'BF16']);
  expect(digest).toBe(await bytesDigest(kept));
  const narrow = (values: number[]) => [...narrowInto('BF16', Float32Array.from(values), new Uint8Array(2 * values.length))];
  const found = await valuesOf(kept);
  for (const name of ['a', 'b']) expect(found.get(name)).toEqual(narrow(exact.get(name) as number[]));
  expect(found.get('steps')).toEqual(exact.get('steps'));
});

test.each(['u4', 'u1', 'nf4', 'fp32'])('%s: what a receiver then holds is what it makes of the code', async (name) => {
  const encoding = parseCodecName(name, referenceCodecs);
  const folder = memoryFolder();
  const { besideDigest } = await writeCodedSum({
    addends: terms,
    codecs: referenceCodecs,
    what: 'what the sites lack',
    encodingFor: () => encoding,
    spool: { folder, name: 'update' },
    beside: { folder, name: 'held', of: 1, has: () => true, metadata: { note: 'x' } },
  });
  const held = await openSafetensors(folder, 'held', { chunkElements: 16_384 });
  const addends = [{ model: await openSpool(folder, 'update', referenceCodecs), weight: 1 }];
  const options = { addends, base: given, codecs: referenceCodecs, pool: undefined, what: 'the receiver' };
  const received: StateDict = { manifest: given.manifest, chunks: (range) => reduceChunks(options, range) };
  expect(await valuesOf(held)).toEqual(await valuesOf(received));
  expect(await contentDigest(received, referenceCodecs)).toBe(besideDigest);
  expect(held.manifest.metadata).toMatchObject({ note: 'x' });
});

test('a value that is no number is named, and no file appears', async () => {
  const broken = memoryStateDict([{ name: 'a', dtype: 'F32', shape: [3, 2], data: Float32Array.of(0, 1, Number.NaN, 3, 4, 5) }]);
  for (const name of ['u4', 'fp32']) {
    const folder = memoryFolder();
    const write = writeCodedSum({
      addends: [{ model: broken, weight: 1 }],
      codecs: referenceCodecs,
      what: 'the update of x',
      encodingFor: () => parseCodecName(name, referenceCodecs),
      spool: { folder, name: 'update' },
      beside: { folder, name: 'kept', of: 'kept', has: () => true },
    });
    await expect(write).rejects.toMatchObject({
      code: 'non-finite',
      message: 'the update of x: tensor a has NaN at element 2; it is refused',
    });
    expect(await folder.list()).toEqual([]);
  }
});

test('of several updates, counters are those of the last', async () => {
  const addends = [model(1, 5), model(2, 6), model(3, 7)].map((one) => ({ model: one, weight: 1 }));
  const options = { addends, base: given, codecs: referenceCodecs, pool: undefined, what: 'the receiver', passed: 2 };
  const all = await valuesOf({ manifest: given.manifest, chunks: (range) => reduceChunks(options, range) });
  expect(all.get('steps')).toEqual((await valuesOf(model(3, 7))).get('steps'));
});
