// gRPC messages of frames, split at any byte, and messages that are refused.
import { expect, test } from 'vitest';
import { randomStream } from '../../core/random.js';
import { FrameSplitter } from '../../driver/frame-splitter.js';
import { joinParts } from '../../driver/join-parts.js';
import { frameMessage, MessageSplitter } from './grpc-messages.js';

const LIMIT = 3_000_000;
const splitter = (): MessageSplitter => new MessageSplitter(new FrameSplitter(LIMIT));

test('frames come out whole and in order, however their bytes are cut', () => {
  const random = randomStream(5, 'grpc');
  const sizes = [1, 2, 126, 127, 128, 129, 16_383, 16_384, 65_536, 70_000, 2_097_151, 2_097_152, LIMIT, 5];
  const sent = sizes.map((size, i) => new Uint8Array(size).fill(i + 1));
  const stream = joinParts(sent.flatMap((frame) => frameMessage([frame.subarray(0, 1), frame.subarray(1)], frame.length)));
  for (const most of [1_000, 16_384, 200_000, stream.length]) {
    const cutter = splitter();
    const received: Uint8Array[] = [];
    for (let at = 0; at < stream.length; ) {
      const end = at + 1 + random.integer(most);
      received.push(...cutter.push(stream.subarray(at, end)));
      at = end;
    }
    expect(received.map(({ length }) => length)).toEqual(sizes);
    expect(received.every((frame, i) => frame.every((byte) => byte === i + 1))).toBe(true);
    expect(cutter.isInside).toBe(false);
  }
});

test('byte by byte, too; and it knows when it is inside a message', () => {
  const cutter = splitter();
  const stream = joinParts(frameMessage([Uint8Array.of(7, 8, 9)], 3));
  const frames = [...stream].flatMap((byte, i) => {
    expect(cutter.isInside).toBe(i > 0);
    return [...cutter.push(Uint8Array.of(byte))];
  });
  expect(frames).toEqual([Uint8Array.of(7, 8, 9)]);
});

test.each([
  ['nothing', [0, 0, 0, 0, 0], 'bad-frame'],
  ['an empty frame', [0, 0, 0, 0, 2, 0x0a, 0], 'bad-frame'],
  ['another field', [0, 0, 0, 0, 3, 0x12, 1, 7], 'bad-frame'],
  ['a length beyond the end', [0, 0, 0, 0, 4, 0x0a, 5, 1, 2], 'bad-frame'],
  ['bytes behind the frame', [0, 0, 0, 0, 4, 0x0a, 1, 7, 8], 'bad-frame'],
  ['a length without an end', [0, 0, 0, 0, 7, 0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 'bad-frame'],
  ['a compressed message', [1, 0, 0, 0, 3, 0x0a, 1, 7], 'unsupported'],
  ['a frame above the limit', [0, 0, 0xb7, 0x1b, 0x05, 0x0a, 0x80, 0xb6, 0xdc, 0x05], 'limit'],
  ['a frame that is one byte above the limit', [0, 0, 45, 198, 198, 0x0a, 0xc1, 0x8d, 0xb7, 0x01], 'limit'],
])('%s is refused, and what follows is for nobody', (_, bytes, code) => {
  const cutter = splitter();
  expect(() => cutter.push(Uint8Array.from(bytes))).toThrowError(expect.objectContaining({ code }));
  expect(cutter.room().length).toBeGreaterThan(0);
  expect(cutter.push(new Uint8Array(1_000))).toEqual([]);
});
