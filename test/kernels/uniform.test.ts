// `u1` to `u4`: the SIMD kernels against the reference on blocks of every length and kind.
// FEDSTREAM_UNIFORM_BLOCKS=1000000 runs the whole test.
import { expect, test } from 'vitest';
import { parseCodecName } from '../../src/codec/codec-name.js';
import { codecOf, referenceCodecs } from '../../src/codec/codec-table.js';
import { loadCodecs } from './load-kernels.js';

const BLOCKS = Number(process.env.FEDSTREAM_UNIFORM_BLOCKS ?? 12_800);
const BLOCK = 128;
const NAMES = ['u1', 'u2', 'u3', 'u4'];
const codecs = loadCodecs();

/** Seeded words of 32 bits (mulberry32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return (word ^ (word >>> 14)) >>> 0;
  };
}

const next = generator(42);
const even = (): number => next() / 2 ** 32;
const bell = (): number => even() + even() + even() + even() - 2;
const sign = (): number => (next() & 1 ? 1 : -1);
const FLOATS = new Float32Array(1);
const WORDS = new Uint32Array(FLOATS.buffer);
const ofWord = (word: number): number => {
  WORDS[0] = word;
  return Number.isFinite(FLOATS[0] as number) ? (FLOATS[0] as number) : 0;
};

/** Kinds of blocks; each makes a new generator of values for every block. */
const KINDS: Readonly<Record<string, () => () => number>> = {
  updates: () => () => 0.002 * bell(),
  'any magnitude of a block': () => {
    const size = 2 ** Math.floor(250 * even() - 125);
    return () => size * bell();
  },
  'any magnitude of a value': () => () => ofWord(next()),
  denormals: () => () => ofWord(next() & 0x807fffff),
  'sums of squares that underflow': () => {
    const size = 1e-23 * 10 ** (4 * even() - 1);
    return () => size * bell();
  },
  'sums of squares that overflow': () => {
    const size = 10 ** (17.5 + 3 * even());
    return () => size * bell();
  },
  huge: () => () => sign() * 3.4028234663852886e38 * (even() < 0.5 ? 1 : even()),
  'zeros of both signs, and a few': () => () => (even() < 0.9 ? sign() * 0 : bell()),
  'an outlier': () => () => (even() < 0.01 ? 1000 : 0.001) * bell(),
  'one magnitude': () => () => 0.01 * sign(),
  'whole steps, where codes change': () => {
    const most = 1 + (next() % 16);
    return () => 0.25 * (Math.round((2 * even() - 1) * most) + (even() < 0.2 ? sign() * 2 ** -20 : 0));
  },
  'huge beside denormal': () => () => (even() < 0.5 ? sign() * 1e38 : ofWord(next() & 0x807fffff)),
};

function same(expected: Uint8Array, found: Uint8Array, what: () => string): void {
  if (Buffer.compare(expected, found) !== 0) throw new Error(`${what()}: the kernel differs from the reference`);
}

test.each(NAMES)(
  '%s: blocks of every kind and length, to the bit',
  (name) => {
    const reference = codecOf(referenceCodecs, parseCodecName(name, referenceCodecs));
    const kernel = codecOf(codecs, parseCodecName(name, referenceCodecs));
    const kinds = Object.entries(KINDS);
    for (let block = 0; block < BLOCKS; block++) {
      const [kind, make] = kinds[Math.floor(block / BLOCK) % kinds.length] as (typeof kinds)[number];
      const n = 1 + (block % BLOCK);
      const value = make();
      const from = Float32Array.from({ length: n }, value);
      const expected = new Uint8Array(reference.encodedBytes(n)).fill(0xaa);
      const found = new Uint8Array(expected.length).fill(0x55);
      reference.encode(from, expected);
      kernel.encode(from, found);
      const what = (): string => `${kind}, ${n} values, block ${block}`;
      same(expected, found, () => `coding ${what()}: ${[...from]}`);
      const [a, b] = [new Float32Array(n), new Float32Array(n)];
      reference.decode(expected, a);
      kernel.decode(expected, b);
      same(new Uint8Array(a.buffer), new Uint8Array(b.buffer), () => `decoding ${what()}`);
      if (!a.every(Number.isFinite)) throw new Error(`${what()}: decodes to a value that is no number`);
      reference.accumulate(expected, 0.3, a);
      kernel.accumulate(expected, 0.3, b);
      same(new Uint8Array(a.buffer), new Uint8Array(b.buffer), () => `adding ${what()}`);
    }
  },
  1_800_000,
);

test.each(NAMES)('%s: a scale of 0, of either sign, decodes to +0 whatever the codes', (name) => {
  for (const table of [referenceCodecs, codecs]) {
    const codec = codecOf(table, parseCodecName(name, referenceCodecs));
    for (const high of [0, 0x80]) {
      const bytes = new Uint8Array(codec.encodedBytes(100)).fill(0x5a);
      bytes.set([0, high]);
      const values = new Float32Array(100).fill(7);
      codec.decode(bytes, values);
      expect(values.every((value) => Object.is(value, 0))).toBe(true);
      values.fill(-0);
      codec.accumulate(bytes, -1, values);
      expect(values.every((value) => Object.is(value, -0))).toBe(true);
    }
  }
});
