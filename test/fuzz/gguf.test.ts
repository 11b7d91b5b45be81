// GGUF headers that lie, are cut short, or ask for more than their budget; and rows that cross chunks.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BUDGETS } from '../../src/core/budgets.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Folder } from '../../src/core/storage.js';
import { type GgufFile, ggufModel, openGguf } from '../../src/tensor/gguf/gguf-file.js';
import { f32, type GgufBytes, ggufBytes, text, u32, u64 } from '../field/gguf-bytes.js';

async function put(bytes: Uint8Array): Promise<Folder> {
  const folder = memoryFolder('models');
  const file = await folder.create('m.gguf');
  await file.write(bytes, 0);
  await file.close();
  return folder;
}

const open = async (file: GgufBytes | Uint8Array): Promise<GgufFile> =>
  openGguf(await put(file instanceof Uint8Array ? file : ggufBytes(file)), 'm.gguf');

const list = (itemType: number, count: bigint | number, ...items: Uint8Array[]) => ({ raw: [u32(9), u32(itemType), u64(count), ...items] });
const W = f32('w', [2], [1, 2]);

test.each<[string, GgufBytes, RegExp]>([
  ['version 1', { version: 1 }, /its version is 1; versions 2 and 3 are read/],
  ['big-endian', { version: 0x03000000 }, /3 in big-endian order/],
  ['a field of an unknown type', { fields: { a: { raw: [u32(99)] } } }, /the field a has the unknown type 99/],
  ['a list of an unknown type', { fields: { a: list(99, 1) } }, /the field a is a list of the unknown type 99/],
  ['lists in lists in lists', { fields: { a: list(9, 1, u32(9), u64(1), u32(9), u64(1)) } }, /a list of the unknown type 9/],
  ['a text longer than the file', { fields: { a: { raw: [u32(8), u64(2n ** 40n)] } } }, /truncated: byte \d+ of \d+ is asked for/],
  ['a length beyond 2^53', { fields: { a: { raw: [u32(8), u64(2n ** 63n)] } } }, /a number of 9223372036854775808 where a size belongs/],
  ['a text that is not UTF-8', { fields: { a: { raw: [u32(8), u64(1), Uint8Array.of(255)] } } }, /the field a is not UTF-8/],
  ['a list longer than the file', { fields: { a: list(4, 1_000_000) } }, /truncated/],
  ['an alignment of 3', { fields: { 'general.alignment': 3 }, tensors: [W] }, /its alignment is 3; a power of two/],
  ['an alignment of 0', { fields: { 'general.alignment': 0 }, tensors: [W] }, /its alignment is 0/],
  ['five sides', { tensors: [{ ...W, sides: [1, 1, 1, 1, 2] }] }, /tensor w claims 5 sides/],
  ['a type of tomorrow', { tensors: [{ ...W, type: 200 }] }, /tensor w has the unknown type 200; it may be of a newer llama\.cpp/],
  ['a tensor beyond 2^53 elements', { tensors: [{ ...W, sides: [2 ** 40, 2 ** 40] }] }, /more than 2\^53 elements/],
  ['rows that fill no blocks', { tensors: [{ ...W, sides: [31], type: 2 }] }, /its rows of 31 do not fill blocks of 32 of Q4_0/],
  ['a tensor behind the end', { tensors: [{ ...W, sides: [2000] }] }, /ends at byte \d+ of \d+: the file is truncated/],
  ['an offset that is not aligned', { tensors: [{ ...W, offset: 8 }] }, /begins at 8, which is no multiple of 32/],
  [
    'tensors that overlap',
    { tensors: [f32('a', [16], new Float32Array(16)), { ...W, offset: 32 }] },
    /tensor w begins at 32, the one before it ends at 64/,
  ],
  ['a tensor twice', { tensors: [W, W] }, /it has the tensor w twice/],
  ['a tensor without a name', { tensors: [{ ...W, name: '' }] }, /a tensor has an empty name/],
])('%s is refused, file and fault named', async (_, file, message) => {
  await expect(open(file)).rejects.toMatchObject({ code: 'bad-tensor-file' });
  await expect(open(file)).rejects.toThrow(message);
  await expect(open(file)).rejects.toThrow('models/m.gguf');
});

test('a field twice is refused', async () => {
  const twice = Buffer.concat([Buffer.from('GGUF'), u32(3), u64(0), u64(2), ...text('a'), u32(4), u32(1), ...text('a'), u32(4), u32(2)]);
  await expect(open(twice)).rejects.toThrow(/the field a twice/);
});

test('budget ggufTensors: a file that claims more is refused before any is looked at', async () => {
  const most = BigInt(BUDGETS.ggufTensors.limit);
  await expect(open({ claims: { tensors: most + 1n } })).rejects.toThrow(/claims 250001 tensors; at most 250000/);
  await expect(open({ claims: { tensors: most } })).rejects.toThrow(/a tensor has an empty name/); // read from the padding
});

test('budget ggufFields: a file that claims more is refused before any is read', async () => {
  const most = BigInt(BUDGETS.ggufFields.limit);
  await expect(open({ claims: { fields: most + 1n } })).rejects.toThrow(/claims 65537 fields; at most 65536/);
  await expect(open({ claims: { fields: most } })).rejects.toThrow(/truncated/);
});

test('budget ggufListItems: a longer list is refused before it is read', async () => {
  await expect(open({ fields: { a: list(0, BUDGETS.ggufListItems.limit + 1) } })).rejects.toThrow(
    /the field a has 4194305 items; at most 4194304/,
  );
});

test('budget ggufFieldBytes: texts beyond it are refused, in fields and in lists', async () => {
  const half = 'x'.repeat(BUDGETS.ggufFieldBytes.limit / 2);
  await expect(open({ fields: { a: half, b: half } })).rejects.toThrow(/at most \d+ are read|more than the 67108864 characters/);
  const file = await open({ fields: { list: [half, half, 'x'] } });
  await expect(file.list('list')).rejects.toThrow(/the texts of list have more than the 67108864 characters/);
  await file.close();
});

test('a file that is cut short anywhere is refused', async () => {
  const whole = ggufBytes({
    fields: { 'general.architecture': 'llama', list: ['a', 'b'], 'x.y': 7 },
    tensors: [W, f32('v', [3], [1, 2, 3])],
  });
  const end = whole.length - 20; // the padding behind the last tensor may be missing
  for (let length = 0; length < end; length++)
    await expect(open(whole.subarray(0, length))).rejects.toMatchObject({ code: 'bad-tensor-file' });
  await expect(open(whole.subarray(0, end))).resolves.toMatchObject({ version: 3 });
});

test('random changes are refused or read, never anything else', async () => {
  const whole = ggufBytes({
    fields: { 'general.architecture': 'llama', list: ['a', 'b'], numbers: [1, 2] },
    tensors: [W, f32('v', [3], [1, 2, 3])],
  });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), async (changes) => {
      const bytes = whole.slice();
      for (const [at, value] of changes) bytes[at] = value;
      await open(bytes).then(
        (file) => file.close(),
        (error: { code: string }) => expect(error.code).toBe('bad-tensor-file'),
      );
    }),
    { seed: 5, numRuns: 300 },
  );
});

test('rows in another order are right across chunks, whole and by range', async () => {
  const [rows, columns] = [6, 150_000];
  const values = Float32Array.from({ length: rows * columns }, (_, i) => i);
  const file = await open({ tensors: [f32('w', [columns, rows], values)] });
  const order = [0, 2, 4, 1, 3, 5];
  const model = ggufModel(file, ({ name }) => ({ name, rowOf: (row) => order[row] as number }));
  expect(model.manifest.tensors[0]?.shape).toEqual([rows, columns]);
  const found = new Float32Array(rows * columns);
  for await (const { firstElement, bytes } of model.chunks()) found.set(new Float32Array(bytes.slice().buffer), firstElement);
  const wanted = Float32Array.from(
    { length: rows * columns },
    (_, i) => (order[Math.floor(i / columns)] as number) * columns + (i % columns),
  );
  expect(Buffer.from(found.buffer).equals(Buffer.from(wanted.buffer))).toBe(true);
  for await (const { firstElement, index, bytes } of model.chunks({ first: 1, end: 3 })) {
    const part = wanted.slice(firstElement, firstElement + bytes.length / 4);
    expect([index >= 1 && index < 3, Buffer.from(part.buffer).equals(Buffer.from(bytes))]).toEqual([true, true]);
  }
  await model.close?.();
});
