// Decoders against hostile bytes, files and manifests: a model or a clear error, never anything
// else. FEDSTREAM_FUZZ=100000 runs more cases.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { writeBitsandbytesModel } from '../../src/codec/bitsandbytes-file.js';
import { codecNames, parseCodecName } from '../../src/codec/codec-name.js';
import { codecOf, referenceCodecs } from '../../src/codec/codec-table.js';
import { writeCodedModel } from '../../src/codec/coded-file.js';
import { layoutOf } from '../../src/codec/layout.js';
import { openModelFile } from '../../src/codec/model-file.js';
import { decodeModel, encodeModel } from '../../src/codec/quantize.js';
import { FedStreamError } from '../../src/core/errors.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Folder } from '../../src/core/storage.js';
import { nodeCodecs } from '../../src/node/codec/codecs.js';
import { DTYPES } from '../../src/tensor/dtype.js';
import type { Manifest } from '../../src/tensor/manifest.js';
import { encodeManifest, parseManifest } from '../../src/tensor/manifest-json.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';

const numRuns = Number(process.env.FEDSTREAM_FUZZ ?? 2000);
const NAMES = codecNames(referenceCodecs).filter((name) => name !== 'fp32');
const TABLES = { reference: referenceCodecs, simd: nodeCodecs() };

/** Errors that a hostile input may lead to; `internal` would be a bug. */
const EXPECTED = new Set(['bad-manifest', 'bad-tensor-file', 'unsupported', 'limit', 'io', 'non-finite']);

function expectClear(error: unknown): void {
  if (!(error instanceof FedStreamError) || !EXPECTED.has(error.code)) throw error;
}

test.each(Object.keys(TABLES))('%s decoders take exactly their size, whatever the bytes', (table) => {
  const codecs = TABLES[table as keyof typeof TABLES];
  const around = new Float32Array(2000);
  fc.assert(
    fc.property(
      fc.constantFrom(...NAMES),
      fc.integer({ min: 0, max: 900 }),
      fc.integer({ min: -40, max: 40 }),
      fc.uint8Array({ maxLength: 4096 }),
      (name, elements, off, noise) => {
        const codec = codecOf(codecs, parseCodecName(name, referenceCodecs));
        const size = codec.encodedBytes(elements);
        const bytes = new Uint8Array(Math.max(0, size + off));
        for (let i = 0; i < bytes.length; i++) bytes[i] = noise[i % (noise.length || 1)] ?? 0;
        around.fill(7);
        const to = around.subarray(500, 500 + elements);
        const work = [() => codec.decode(bytes, to), () => codec.accumulate(bytes, 0.5, to)];
        for (const decode of work) {
          if (bytes.length === size) decode();
          else expect(decode).toThrow(/has \d+ bytes, not/);
        }
        expect(around.subarray(0, 500).every((value) => value === 7)).toBe(true);
        expect(around.subarray(500 + elements).every((value) => value === 7)).toBe(true);
      },
    ),
    { numRuns },
  );
});

const anyEncoding = fc.record(
  {
    codec: fc.oneof(
      fc.constantFrom('raw', 'fp16', 'bf16', 'blockwise8', 'fp4', 'nf4', 'u1', 'u3', 'topk', '__proto__', 'toString'),
      fc.string(),
    ),
    blockSize: fc.oneof(fc.constantFrom(16, 64, 128, 256, 4096, 48, 2 ** 24), fc.integer(), fc.double()),
    nested: fc.boolean(),
    parameters: fc.dictionary(
      fc.oneof(fc.constantFrom('fraction', 'blockSize', '__proto__'), fc.string()),
      fc.oneof(fc.double(), fc.integer()),
      {
        maxKeys: 3,
      },
    ),
  },
  { requiredKeys: ['codec'] },
);
const anyTensor = fc.record({
  name: fc.oneof(fc.constantFrom('a', 'b', '__proto__'), fc.string()),
  dtype: fc.oneof(fc.constantFrom(...Object.keys(DTYPES)), fc.string()),
  shape: fc.array(fc.oneof(fc.nat(100), fc.maxSafeNat(), fc.integer(), fc.double()), { maxLength: 4 }),
  encoding: anyEncoding,
});
const anyManifest = fc.record({
  tensors: fc.array(anyTensor, { maxLength: 4 }),
  chunkElements: fc.oneof(fc.constantFrom(16_384, 262_144), fc.integer(), fc.constant(2 ** 40)),
  tied: fc.dictionary(fc.string(), fc.string(), { maxKeys: 2 }),
  metadata: fc.dictionary(fc.string(), fc.string(), { maxKeys: 2 }),
});

test('any manifest is refused with a reason, or has a layout whose bytes add up', () => {
  fc.assert(
    fc.property(fc.oneof(anyManifest, fc.jsonValue()), (json) => {
      let manifest: Manifest;
      try {
        manifest = parseManifest(encodeManifest(json as unknown as Manifest), 'a peer');
        layoutOf(manifest, referenceCodecs);
      } catch (error) {
        expectClear(error);
        return;
      }
      const layout = layoutOf(manifest, referenceCodecs);
      const sum = manifest.tensors.reduce((total, _, index) => total + layout.tensorBytes(index), 0);
      expect(sum).toBe(layout.totalBytes);
      const [first] = layout.places({ first: 0, end: 1 });
      if (first) expect(first.bytes).toBeGreaterThan(0);
    }),
    { numRuns },
  );
});

async function codedFiles(): Promise<Record<string, Uint8Array>> {
  const folder = memoryFolder();
  const weights = Float32Array.from({ length: 700 }, (_, i) => Math.sin(i));
  const model = memoryStateDict([
    { name: 'w', dtype: 'F32', shape: [20, 35], data: weights },
    { name: 'n', dtype: 'F32', shape: [9], data: weights.slice(0, 9) },
  ]);
  const coded = encodeModel(model, ({ name }) => parseCodecName(name === 'w' ? 'nf4-nested' : 'fp32', referenceCodecs), referenceCodecs);
  await writeCodedModel(folder, 'ours', coded, referenceCodecs);
  await writeBitsandbytesModel(folder, 'theirs', coded);
  return { ours: await bytesOf(folder, 'ours'), theirs: await bytesOf(folder, 'theirs') };
}

async function bytesOf(folder: Folder, name: string): Promise<Uint8Array> {
  const file = await folder.open(name);
  const bytes = new Uint8Array(file.sizeBytes);
  await file.read(bytes, 0);
  await file.close();
  return bytes;
}

const files = await codedFiles();
const change = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  byte: fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('0129{}[]":,-'))),
});

test.each(Object.keys(files))('a changed or truncated coded file (%s) is a model or a clear error', async (which) => {
  const original = files[which] as Uint8Array;
  const header = 8 + Number(new DataView(original.buffer).getBigUint64(0, true));
  const cut = fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { freq: 4 });
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), cut, async (changes, end) => {
      const bytes = original.slice(0, end === null ? original.length : Math.floor(end * original.length));
      for (const { at, byte } of changes) bytes[Math.floor(at * Math.min(header, bytes.length))] = byte;
      const folder = memoryFolder();
      const file = await folder.create('m');
      await file.write(bytes, 0);
      await file.close();
      try {
        const model = await openModelFile(folder, 'm', referenceCodecs);
        let decoded = 0;
        for await (const chunk of decodeModel(model, referenceCodecs).chunks()) decoded += chunk.bytes.length;
        expect(decoded).toBeLessThan(100_000);
        await model.close?.();
      } catch (error) {
        expectClear(error);
      }
    }),
    { numRuns: Math.ceil(numRuns / 2) },
  );
});
