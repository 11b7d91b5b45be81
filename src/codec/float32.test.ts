// Models in float32 and back: widening changes no value, and the checkpoint's dtypes come back.
import { expect, test } from 'vitest';
import type { Dtype } from '../tensor/dtype.js';
import { memoryStateDict } from '../tensor/memory-state-dict.js';
import type { StateDict } from '../tensor/state-dict.js';
import { narrowInto } from '../tensor/widen.js';
import { referenceCodecs } from './codec-table.js';
import { inFloat32, inOwnDtypes, masterOf, ownEncoding } from './float32.js';
import { decodeModel } from './quantize.js';

const values = Float32Array.from({ length: 300 }, (_, i) => Math.sin(i) * 3);

function raw(dtype: 'F32' | 'F16' | 'BF16'): Uint8Array {
  return narrowInto(dtype, values, new Uint8Array(4 * values.length)).slice();
}

const model = memoryStateDict([
  { name: 'a', dtype: 'BF16', shape: [300], data: raw('BF16') },
  { name: 'b', dtype: 'F32', shape: [300], data: raw('F32') },
  { name: 'c', dtype: 'F16', shape: [30, 10], data: raw('F16') },
  { name: 'd', dtype: 'BF16', shape: [300], data: raw('BF16').slice() },
  { name: 'steps', dtype: 'I64', shape: [1], data: BigInt64Array.of(7n) },
]);

async function bytesOf({ chunks }: StateDict): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const { tensor, bytes } of chunks()) found[tensor.name] = `${tensor.dtype} ${Buffer.from(bytes).toString('hex')}`;
  return found;
}

test('to float32 and back, bit for bit, by the note that the manifest carries', async () => {
  const master = decodeModel(masterOf(model), referenceCodecs);
  expect(master.manifest.tensors.map(({ dtype, encoding }) => `${dtype} ${encoding.codec}`)).toEqual([
    'F32 raw',
    'F32 raw',
    'F32 raw',
    'F32 raw',
    'I64 raw',
  ]);
  expect(JSON.parse(master.manifest.metadata['fedstream.dtypes'] as string)).toEqual({ default: 'BF16', names: { b: 'F32', c: 'F16' } });
  const back = inOwnDtypes(master, referenceCodecs);
  expect(back.manifest.metadata).toEqual({});
  expect(await bytesOf(back)).toEqual(await bytesOf(model));
  const encodingFor = ownEncoding(master.manifest);
  expect(master.manifest.tensors.map((tensor) => encodingFor(tensor).codec)).toEqual(['bf16', 'raw', 'fp16', 'bf16', 'raw']);
});

test('in a dtype of one’s choice', async () => {
  const half = inOwnDtypes(decodeModel(masterOf(model), referenceCodecs), referenceCodecs, () => 'F16');
  expect(half.manifest.tensors.map(({ dtype }) => dtype)).toEqual(['F16', 'F16', 'F16', 'F16', 'I64']);
  expect((await bytesOf(half)).c).toBe((await bytesOf(model)).c);
});

test('float64 is rounded where a trainer returns it, and refused as a global model', async () => {
  const double = memoryStateDict([{ name: 'a', dtype: 'F64' as Dtype, shape: [3], data: Float64Array.of(0.1, -2, 1e-3) }]);
  const [a] = Object.values(await bytesOf(inFloat32(double)));
  expect(a).toBe(`F32 ${Buffer.from(Float32Array.of(0.1, -2, 1e-3).buffer).toString('hex')}`);
  expect(() => masterOf(double)).toThrow(/tensor a is F64, which is not averaged/);
});

test('a note that cannot be read is an error', () => {
  const manifest = { ...model.manifest, metadata: { 'fedstream.dtypes': '{"default":"F99"}' } };
  expect(() => inOwnDtypes({ ...model, manifest }, referenceCodecs)).toThrow(/the note of the model's dtypes cannot be read/);
});
