// Tensors that cannot be averaged: each rule, each kind of number, and what is refused by name.
import { expect, test } from 'vitest';
import { referenceCodecs } from '../../codec/codec-table.js';
import type { Dtype } from '../../tensor/dtype.js';
import { memoryStateDict } from '../../tensor/memory-state-dict.js';
import type { StateDict } from '../../tensor/state-dict.js';
import type { IntegerRule } from './integers.js';
import { mean } from './mean.js';

const model = (w: number, steps: ArrayBufferView, dtype: Dtype = 'I64'): StateDict =>
  memoryStateDict([
    { name: 'a.weight', dtype: 'F32', shape: [3], data: new Float32Array(3).fill(w) },
    { name: 'a.steps', dtype, shape: [2], data: steps },
    { name: 'b.weight', dtype: 'F32', shape: [1], data: new Float32Array(1).fill(w) },
  ]);

async function averaged(rule: IntegerRule, previous: StateDict, ...results: StateDict[]): Promise<Uint8Array[]> {
  const contributions = results.map((result, i) => ({ site: `s${i}`, samples: 1, model: result, isUpdate: false }));
  const keep = (): never => {
    throw new Error('nothing is kept');
  };
  const next = await mean({
    results: contributions,
    previous,
    state: {},
    codecs: referenceCodecs,
    integers: rule,
    round: 1,
    rounds: 1,
    keep,
  });
  const found: Uint8Array[] = [];
  for await (const { bytes } of next.chunks()) found.push(bytes.slice());
  return found;
}

const i64 = (...values: number[]): BigInt64Array => BigInt64Array.from(values.map(BigInt));
const asI64 = (bytes: Uint8Array | undefined): number[] => [...new BigInt64Array((bytes as Uint8Array).buffer)].map(Number);
const asF32 = (bytes: Uint8Array | undefined): number[] => [...new Float32Array((bytes as Uint8Array).buffer)];

test('what all sites agree on is taken, and the tensors around it are averaged', async () => {
  const [a, steps, b] = await averaged('refuse', model(0, i64(1, 1)), model(1, i64(7, 9)), model(3, i64(7, 9)));
  expect([asF32(a), asI64(steps), asF32(b)]).toEqual([[2, 2, 2], [7, 9], [2]]);
});

test('values that differ end the round, naming tensor and sites', async () => {
  const averaging = averaged('refuse', model(0, i64(1, 1)), model(1, i64(7, 9)), model(1, i64(7, 9)), model(1, i64(7, 8)));
  await expect(averaging).rejects.toMatchObject({
    code: 'refused',
    message: expect.stringMatching(/^tensor a\.steps is I64.*s0 and s2 have different/),
  });
});

test('the values of the global model stay', async () => {
  const [, steps] = await averaged('previous', model(0, i64(1, 2)), model(1, i64(7, 9)), model(1, i64(8, 9)));
  expect(asI64(steps)).toEqual([1, 2]);
});

test.each([
  ['I64', i64(-5, 9), i64(7, -9), i64(7, 9)],
  ['U64', BigUint64Array.of(1n, 2n ** 63n), BigUint64Array.of(2n, 5n), BigUint64Array.of(2n, 2n ** 63n)],
  ['I32', Int32Array.of(-1, 2), Int32Array.of(-2, 3), Int32Array.of(-1, 3)],
  ['U32', Uint32Array.of(2 ** 31, 2), Uint32Array.of(1, 3), Uint32Array.of(2 ** 31, 3)],
  ['I16', Int16Array.of(-1, 2), Int16Array.of(-2, 3), Int16Array.of(-1, 3)],
  ['U16', Uint16Array.of(40_000, 2), Uint16Array.of(1, 3), Uint16Array.of(40_000, 3)],
  ['I8', Int8Array.of(-1, 2), Int8Array.of(-2, 3), Int8Array.of(-1, 3)],
  ['U8', Uint8Array.of(200, 2), Uint8Array.of(1, 3), Uint8Array.of(200, 3)],
  ['BOOL', Uint8Array.of(1, 0), Uint8Array.of(0, 0), Uint8Array.of(1, 0)],
] as const)('the largest of %s', async (dtype, one, other, largest) => {
  const [, found] = await averaged('largest', model(0, one, dtype), model(1, one, dtype), model(1, other, dtype));
  expect(found).toEqual(new Uint8Array(largest.buffer.slice(0)));
});

test('there is no largest of what is no whole number', async () => {
  const eight = (byte: number): StateDict => model(1, Uint8Array.of(byte, byte), 'F8_E4M3');
  await expect(averaged('largest', eight(0), eight(1), eight(2))).rejects.toThrow(/a\.steps is F8_E4M3, of which there is no largest/);
});
