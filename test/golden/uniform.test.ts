// `u1` to `u4`, reference and SIMD, against vectors that another program made, bit for bit.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { codecOf, referenceCodecs } from '../../src/codec/codec-table.js';
import { nodeCodecs } from '../../src/node/codec/codecs.js';

interface GoldenVector {
  readonly name: string;
  readonly codec: string;
  readonly n: number;
  /** Base64: float32, the coded chunk, float32. */
  readonly input: string;
  readonly bytes: string;
  readonly decoded: string;
}

const vectors = JSON.parse(readFileSync(new URL('uniform.json', import.meta.url), 'utf8')) as GoldenVector[];

const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));
const wordsOf = (bytes: Uint8Array): number[] => [...new Uint32Array(bytes.buffer)];

const TABLES = { reference: referenceCodecs, simd: nodeCodecs() };
const grid = (Object.keys(TABLES) as (keyof typeof TABLES)[]).flatMap((table) =>
  vectors.map((vector) => [table, vector.codec, vector.name, vector] as const),
);

test('the golden file has all cases', () => {
  expect(new Set(vectors.map(({ name }) => name))).toEqual(
    new Set('gauss flat heavy one_outlier zeros_and_a_block one_value short signs negative_zero tiny underflow large edges'.split(' ')),
  );
  for (const codec of ['u1', 'u2', 'u3', 'u4']) expect(vectors.filter((vector) => vector.codec === codec)).toHaveLength(13);
});

test.each(grid)('%s %s codes and decodes %s', (table, codec, _name, { n, input, bytes, decoded }) => {
  const kernel = codecOf(TABLES[table], { codec, blockSize: 128 });
  const from = new Float32Array(bytesOf(input).buffer);
  const coded = new Uint8Array(kernel.encodedBytes(n)).fill(0xff);
  kernel.encode(from, coded);
  expect([...coded]).toEqual([...bytesOf(bytes)]);
  const values = new Float32Array(n);
  kernel.decode(coded, values);
  expect(wordsOf(new Uint8Array(values.buffer))).toEqual(wordsOf(bytesOf(decoded)));
});
