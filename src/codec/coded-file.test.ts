// Coded files and bitsandbytes files: models written and read back, and files that are refused.
import { expect, test } from 'vitest';
import { memoryFolder } from '../core/memory-folder.js';
import type { Folder } from '../core/storage.js';
import { type MemoryTensor, memoryStateDict } from '../tensor/memory-state-dict.js';
import type { ChunkRange, StateDict } from '../tensor/state-dict.js';
import { narrowInto } from '../tensor/widen.js';
import { writeBitsandbytesModel } from './bitsandbytes-file.js';
import { codecNames, parseCodecName } from './codec-name.js';
import { referenceCodecs } from './codec-table.js';
import { isCoded, MANIFEST_KEY, writeCodedModel } from './coded-file.js';
import { openModelFile, openModelFolder } from './model-file.js';
import { decodeModel, encodeModel } from './quantize.js';

function model(): StateDict {
  const weights = Float32Array.from({ length: 300_001 }, (_, i) => Math.sin(i * i) / 10);
  const half = narrowInto('BF16', weights.subarray(0, 33 * 65), new Uint8Array(33 * 65 * 2));
  const tensors: MemoryTensor[] = [
    { name: 'b.norm', dtype: 'F32', shape: [7], data: weights.slice(0, 7) },
    { name: 'a.weight', dtype: 'F32', shape: [300_001], data: weights },
    { name: 'half.weight', dtype: 'BF16', shape: [33, 65], data: half },
    { name: 'steps', dtype: 'I64', shape: [], data: BigInt64Array.of(5n) },
  ];
  return memoryStateDict(tensors, { tied: { 'a.alias': 'a.weight' } });
}

function coded(name: string, from = model()): StateDict {
  return encodeModel(
    from,
    (tensor) => (/weight/.test(tensor.name) ? parseCodecName(name, referenceCodecs) : { codec: 'raw' }),
    referenceCodecs,
  );
}

/** The bytes of each tensor, as text that compares fast. */
async function bytesOf(dict: StateDict, range?: ChunkRange): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const { tensor, bytes } of dict.chunks(range))
    found.set(tensor.name, (found.get(tensor.name) ?? '') + Buffer.from(bytes).toString('latin1'));
  return found;
}

test.each(codecNames(referenceCodecs))('%s: a coded file is read back as it was written', async (name) => {
  const folder = memoryFolder();
  const written = coded(name);
  await writeCodedModel(folder, 'model.safetensors', written, referenceCodecs);
  const read = await openModelFolder(folder, referenceCodecs);
  expect(isCoded(read)).toBe(name !== 'fp32');
  expect(read.manifest).toEqual(written.manifest);
  expect(await bytesOf(read)).toEqual(await bytesOf(written));
  expect(await folder.list()).toEqual(['model.safetensors']);
});

test.each(['nf4', 'fp4', 'nf4-nested', 'fp4-nested', 'nf4:128'])(
  '%s: a file of bitsandbytes decodes to what our own does',
  async (name) => {
    const folder = memoryFolder();
    await writeBitsandbytesModel(folder, 'm', coded(name));
    const read = await openModelFile(folder, 'm', referenceCodecs);
    const byName = (dict: StateDict) => Object.fromEntries(dict.manifest.tensors.map((tensor) => [tensor.name, tensor]));
    expect(byName(read)).toEqual(byName(coded(name)));
    expect(read.manifest.tied).toEqual({ 'a.alias': 'a.weight' });
    expect(await bytesOf(decodeModel(read, referenceCodecs))).toEqual(await bytesOf(decodeModel(coded(name), referenceCodecs)));
    const all = (await bytesOf(read)).get('a.weight') as string;
    const first = read.manifest.tensors.findIndex((tensor) => tensor.name === 'a.weight');
    const range = { first: first + 1, end: first + 2 }; // its second chunk; the tensors before it have one chunk each
    expect(all.endsWith((await bytesOf(read, range)).get('a.weight') as string)).toBe(true);
  },
);

test('what the bitsandbytes layout cannot hold is named', async () => {
  await expect(writeBitsandbytesModel(memoryFolder(), 'm', coded('blockwise8'))).rejects.toThrow(/a\.weight is blockwise8/);
});

async function rewritten(folder: Folder, change: (header: Record<string, unknown>) => void): Promise<void> {
  const file = await folder.open('m');
  const bytes = new Uint8Array(file.sizeBytes);
  await file.read(bytes, 0);
  await file.close();
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  change(header);
  const text = new TextEncoder().encode(JSON.stringify(header));
  const out = await folder.create('m');
  const prefix = new Uint8Array(8);
  new DataView(prefix.buffer).setBigUint64(0, BigInt(text.length), true);
  await out.write(prefix, 0);
  await out.write(text, 8);
  await out.write(bytes.subarray(8 + length), 8 + text.length);
  await out.close();
}

type Entry = { dtype: string; shape: number[]; data_offsets: [number, number] };
const manifestOf = (header: Record<string, unknown>) => JSON.parse((header.__metadata__ as Record<string, string>)[MANIFEST_KEY] as string);
const withManifest = (header: Record<string, unknown>, change: (manifest: { tensors: Record<string, unknown>[] }) => void): void => {
  const manifest = manifestOf(header);
  change(manifest);
  (header.__metadata__ as Record<string, string>)[MANIFEST_KEY] = JSON.stringify(manifest);
};

test.each<[string, (header: Record<string, unknown>) => void, RegExp]>([
  ['no JSON', (h) => Object.assign(h.__metadata__ as object, { [MANIFEST_KEY]: '{' }), /manifest of .*m is not JSON/],
  ['a tensor less', (h) => withManifest(h, (m) => m.tensors.pop()), /does not fit its manifest/],
  ['a larger shape', (h) => withManifest(h, (m) => Object.assign(m.tensors[1] as object, { shape: [300_200] })), /a\.weight U8/],
  [
    'another block',
    (h) => withManifest(h, (m) => Object.assign(m.tensors[1] as object, { encoding: { codec: 'nf4', blockSize: 32 } })),
    /a\.weight U8/,
  ],
  [
    'a block that cannot be',
    (h) => withManifest(h, (m) => Object.assign(m.tensors[1] as object, { encoding: { codec: 'nf4', blockSize: 48 } })),
    /block size 48/,
  ],
  [
    'an unknown codec',
    (h) => withManifest(h, (m) => Object.assign(m.tensors[1] as object, { encoding: { codec: 'zip' } })),
    /no codec "zip"/,
  ],
  ['2^60 elements', (h) => withManifest(h, (m) => Object.assign(m.tensors[1] as object, { shape: [2 ** 30, 2 ** 30] })), /2\^53/],
])('a coded file whose manifest lies is refused: %s', async (_, change, message) => {
  const folder = memoryFolder();
  await writeCodedModel(folder, 'm', coded('nf4'), referenceCodecs);
  await rewritten(folder, change);
  await expect(openModelFile(folder, 'm', referenceCodecs)).rejects.toThrow(message);
});

test.each<[string, (header: Record<string, unknown>) => void, RegExp]>([
  ['a part missing', (h) => rename(h, 'a.weight.absmax', 'a.weight.other'), /lacks a\.weight\.absmax/],
  ['the codes missing', (h) => rename(h, 'a.weight', 'a.other'), /lacks a\.weight/],
  [
    'a part of another size',
    (h) => rename(h, 'half.weight.absmax', 'a.weight.absmax', 'a.weight.absmax'),
    /a\.weight\.absmax is F32|lacks half/,
  ],
  ['the wrong type', (h) => rename(h, 'a.weight.quant_state.bitsandbytes__nf4', 'a.weight.quant_state.bitsandbytes__fp4'), /says nf4/],
])('a file of bitsandbytes that does not hold together is refused: %s', async (_, change, message) => {
  const folder = memoryFolder();
  await writeBitsandbytesModel(folder, 'm', coded('nf4'));
  await rewritten(folder, change);
  await expect(openModelFile(folder, 'm', referenceCodecs)).rejects.toThrow(message);
});

function rename(header: Record<string, unknown>, from: string, to: string, swap?: string): void {
  const entry = header[from] as Entry;
  delete header[from];
  if (swap) header[from] = header[swap];
  header[to] = entry;
}

test('a file that ends early is an error, not a model', async () => {
  const folder = memoryFolder();
  await writeCodedModel(folder, 'm', coded('nf4'), referenceCodecs);
  const file = await folder.open('m');
  const bytes = new Uint8Array(file.sizeBytes - 1);
  await file.read(bytes, 0);
  const out = await folder.create('short');
  await out.write(bytes, 0);
  await expect(openModelFile(folder, 'short', referenceCodecs)).rejects.toThrow(/truncated/);
});
