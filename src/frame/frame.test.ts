// Frames come back as they were encoded, and nothing else is decoded.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeFrame, encodeFrame, FRAME_TYPES, type FrameType, MAX_FRAME_HEADER_BYTES, PREFIX_BYTES } from './frame.js';

const joined = (parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts));
const badFrame = expect.objectContaining({ code: 'bad-frame' });

test('a frame comes back as it was', () => {
  const types = Object.keys(FRAME_TYPES) as FrameType[];
  fc.assert(
    fc.property(
      fc.constantFrom(...types),
      fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      fc.uint8Array({ maxLength: 100 }),
      fc.uint8Array({ maxLength: 100 }),
      (type, stream, header, payload) => {
        const frame = decodeFrame(joined(encodeFrame(type, stream, header, payload)));
        expect(frame).toMatchObject({ type, stream, header, payload });
      },
    ),
    { seed: 3 },
  );
});

test('the bytes are those of docs/spec/frame.md', () => {
  const bytes = joined(encodeFrame('data', 7, Uint8Array.of(0xaa, 0xbb), Uint8Array.of(1, 2, 3)));
  expect(Buffer.from(bytes).toString('hex')).toBe('46534d31090008e90700000002000000' + '0300000000000000' + 'aabb' + '010203');
});

test('a bit that was turned anywhere but in the payload of data is found', () => {
  for (const type of ['request', 'reply', 'credit', 'data'] as const) {
    const whole = joined(encodeFrame(type, 3, Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5, 6, 7)));
    const end = type === 'data' ? whole.length - 4 : whole.length;
    for (let bit = 0; bit < 8 * end; bit++) {
      const bytes = whole.slice();
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(() => decodeFrame(bytes), `${type} ${bit}`).toThrow(badFrame);
    }
  }
});

test('the payload is neither copied out nor copied in', () => {
  const payload = new Uint8Array(10);
  const parts = encodeFrame('data', 1, new Uint8Array(16), payload);
  expect(parts.at(-1)).toBe(payload);
  const bytes = joined(parts);
  expect(decodeFrame(bytes).payload.buffer).toBe(bytes.buffer);
});

test('refuses every frame that is cut short or has bytes behind it', () => {
  const whole = joined(encodeFrame('open', 1, new Uint8Array(5), new Uint8Array(9)));
  for (let size = 0; size < whole.length; size++) expect(() => decodeFrame(whole.subarray(0, size))).toThrow(badFrame);
  expect(() => decodeFrame(Uint8Array.from([...whole, 0]))).toThrow(badFrame);
});

test('refuses lengths that lie, unknown types, and flags', () => {
  const change = (at: number, ...values: number[]): Uint8Array => {
    const bytes = joined(encodeFrame('open', 1, new Uint8Array(5), new Uint8Array(9)));
    bytes.set(values, at);
    return bytes;
  };
  for (const bytes of [
    change(0, 0x47),
    change(4, 0),
    change(4, 200),
    change(5, 1),
    change(6, 1),
    change(7, 1),
    change(12, 6),
    change(12, 255, 255, 255, 255),
    change(16, 8),
    change(16, 255, 255, 255, 255, 255, 255, 255, 255),
    change(12, 254, 255, 255, 255, 16, 0, 0, 0, 1),
  ])
    expect(() => decodeFrame(bytes)).toThrow(badFrame);
});

test('finds every damage of one or two bits in prefix and header', () => {
  const whole = joined(
    encodeFrame(
      'data',
      7,
      Uint8Array.from({ length: 16 }, (_, i) => i * 17),
      new Uint8Array(4),
    ),
  );
  const bits = (PREFIX_BYTES + 16) * 8;
  const flip = (bytes: Uint8Array, bit: number): void => {
    bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
  };
  for (let one = 0; one < bits; one++) {
    for (let other = one; other < bits; other += 1 + (one % 7)) {
      const bytes = whole.slice();
      flip(bytes, one);
      if (other !== one) flip(bytes, other);
      expect(() => decodeFrame(bytes)).toThrow(badFrame);
    }
  }
});

test('refuses a header above its limit, both ways', () => {
  const header = new Uint8Array(MAX_FRAME_HEADER_BYTES + 1);
  expect(() => encodeFrame('open', 1, header)).toThrow(expect.objectContaining({ code: 'limit' }));
  const bytes = new Uint8Array(PREFIX_BYTES + header.length);
  bytes.set(joined(encodeFrame('open', 1)));
  new DataView(bytes.buffer).setUint32(12, header.length, true);
  expect(() => decodeFrame(bytes)).toThrow(badFrame);
});

test('no bytes whatever make it throw anything else', () => {
  const prefix = joined(encodeFrame('request', 3, new Uint8Array(4), new Uint8Array(4)));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(prefix.length - 1), fc.nat(255)), { maxLength: 6 }), (changes) => {
      const bytes = prefix.slice();
      for (const [at, value] of changes) bytes[at] = value;
      try {
        const frame = decodeFrame(bytes);
        expect(joined(encodeFrame(frame.type, frame.stream, frame.header, frame.payload))).toEqual(bytes);
      } catch (error) {
        expect(error).toEqual(badFrame);
      }
    }),
    { seed: 4, numRuns: 5_000 },
  );
});
