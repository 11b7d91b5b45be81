// Both sets of codecs, reference and SIMD, against values that another program made, bit for bit:
// codes, scales and decoded values of every case.
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parseCodecName } from '../../src/codec/codec-name.js';
import { codecOf, referenceCodecs } from '../../src/codec/codec-table.js';
import { DYNAMIC_MAP } from '../../src/codec/dynamic-map.js';
import { FP4_VALUES } from '../../src/codec/fp4.js';
import { NF4_VALUES } from '../../src/codec/nf4.js';
import { nodeCodecs } from '../../src/node/codec/codecs.js';
import { nodeFolder } from '../../src/node/storage/node-folder.js';
import { openSafetensors } from '../../src/tensor/safetensors.js';

const golden = await readGolden();
const cases = [...golden.keys()].filter((name) => name.endsWith('.input')).map((name) => name.slice(0, -'.input'.length));

async function readGolden(): Promise<Map<string, Uint8Array>> {
  const tensors = new Map<string, Uint8Array>();
  const file = await openSafetensors(nodeFolder(fileURLToPath(new URL('.', import.meta.url))), 'codecs.safetensors');
  for await (const chunk of file.chunks()) {
    if (chunk.firstElement !== 0) throw new Error('a golden tensor is larger than a chunk');
    tensors.set(chunk.tensor.name, chunk.bytes.slice());
  }
  await file.close?.();
  return tensors;
}

function floats(name: string): Float32Array {
  return new Float32Array((golden.get(name) as Uint8Array).buffer);
}

/** The expected bytes of a coded chunk: the parts of its layout, one after the other. */
function expectedBytes(name: string, codec: string): number[] {
  const nested = `${name}.${codec.replace('-', '_')}`;
  const parts = codec.endsWith('-nested')
    ? [`${nested}.offset`, `${nested}.absmax_absmax`, `${nested}.absmax_codes`, `${name}.${codec.split('-')[0]}.codes`]
    : codec.startsWith('blockwise8')
      ? [`${name}.${blockwiseName(codec)}.absmax`, `${name}.${blockwiseName(codec)}.codes`]
      : codec === 'bf16'
        ? [`${name}.bf16.codes`]
        : [`${name}.${codec}.absmax`, `${name}.${codec}.codes`];
  return parts.flatMap((part) => [...(golden.get(part) as Uint8Array)]);
}

function blockwiseName(codec: string): string {
  return codec === 'blockwise8' ? 'blockwise8_4096' : 'blockwise8_256';
}

const TABLES = { reference: referenceCodecs, simd: nodeCodecs() };
type Table = keyof typeof TABLES;
const tables = Object.keys(TABLES) as Table[];

function encode(table: Table, name: string, codec: string): { bytes: Uint8Array; saturated: number } {
  const kernel = codecOf(TABLES[table], parseCodecName(codec, referenceCodecs));
  const input = floats(`${name}.input`);
  const bytes = new Uint8Array(kernel.encodedBytes(input.length));
  const preparation = kernel.prepare?.();
  preparation?.push(input);
  return { bytes, saturated: kernel.encode(input, bytes, preparation?.finish()).saturated };
}

function decode(table: Table, codec: string, bytes: Uint8Array, elements: number): Float32Array {
  const values = new Float32Array(elements);
  codecOf(TABLES[table], parseCodecName(codec, referenceCodecs)).decode(bytes, values);
  return values;
}

const bits = (values: Float32Array): number[] => [...new Uint32Array(values.buffer, values.byteOffset, values.length)];

test('the golden file has all cases', () => {
  expect(cases.sort()).toEqual(
    'bf16_valued fp16_overflow fp16_valued odd_tail one outliers sixty_three sparse ties4 ties8 tiny weights zeros'.split(' '),
  );
});

test('the tables are those of the golden file', () => {
  expect(bits(DYNAMIC_MAP)).toEqual(bits(floats('table.dynamic8')));
  expect(bits(NF4_VALUES)).toEqual(bits(floats('table.nf4')));
  expect(FP4_VALUES).toEqual(floats('table.fp4'));
});

const CODED = ['bf16', 'blockwise8', 'blockwise8:256', 'fp4', 'nf4', 'fp4-nested', 'nf4-nested'];

const grid = (codecs: string[]) => tables.flatMap((table) => codecs.flatMap((codec) => cases.map((name) => [table, codec, name] as const)));

test.each(grid(CODED))('%s %s codes %s', (table, codec, name) => {
  expect([...encode(table, name, codec).bytes]).toEqual(expectedBytes(name, codec));
});

const DECODED = ['fp16', 'blockwise8', 'blockwise8:256', 'fp4', 'nf4', 'fp4-nested', 'nf4-nested'];

test.each(grid(DECODED))('%s %s decodes %s', (table, codec, name) => {
  const key = codec.startsWith('blockwise8') ? blockwiseName(codec) : codec.replace('-', '_');
  const expected = floats(`${name}.${key}.decoded`);
  expect(bits(decode(table, codec, encode(table, name, codec).bytes, expected.length))).toEqual(bits(expected));
});

test.each(tables)('%s fp16 counts what it saturates, and nothing else does', (table) => {
  const beyond = [...floats('fp16_overflow.input')].filter((value) => Math.abs(value) > 65_504).length;
  expect(beyond).toBeGreaterThan(0);
  expect(encode(table, 'fp16_overflow', 'fp16').saturated).toBe(beyond);
  expect(encode(table, 'weights', 'fp16').saturated).toBe(0);
});
