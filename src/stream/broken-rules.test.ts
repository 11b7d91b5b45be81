// Peers that break the rules of byte streams are refused, at the cost of one window at most.
import { expect, test } from 'vitest';
import type { FedStreamError } from '../core/errors.js';
import { connectionPair } from '../driver/memory.js';
import { pack, unpack } from '../frame/pack.js';
import { Session } from '../frame/session.js';
import { checksumOf } from './hashed-memory.js';
import type { IncomingStream } from './incoming-stream.js';
import { digestOf } from './leaf-sums.js';
import { memorySource } from './source.js';
import { doneSchema, encodeDataHeader } from './stream-frames.js';
import { Streams } from './streams.js';

const MIB = 1024 * 1024;
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

/** A peer that breaks the rules by hand, and an honest receiver. */
async function dishonest(): Promise<{ raw: Session; opened(): Promise<IncomingStream>; refusal: Promise<string>; alive(): Promise<void> }> {
  const [near, farEnd] = connectionPair('memory://dishonest');
  const raw = new Session(near, { name: 'liar' });
  const honest = new Session(farEnd, { name: 'receiver' });
  const refusal = new Promise<string>((resolve) => raw.handle('refuse', (frame) => resolve(Buffer.from(frame.header).toString('latin1'))));
  for (const type of ['accept', 'credit', 'retry', 'done'] as const) raw.handle(type, () => {});
  const ready: ((stream: IncomingStream) => void)[] = [];
  new Streams(honest, (stream) => ready.shift()?.(stream));
  await Promise.all([raw.start(), honest.start()]);
  const opened = (): Promise<IncomingStream> => new Promise((resolve) => ready.push(resolve));
  const alive = async (): Promise<void> => {
    const stream = opened();
    await raw.control('open', 99, pack({ meta: null, totalBytes: 0 }));
    const honest = await stream;
    const reading = honest.read().next();
    await raw.control('end', 99, pack({ totalBytes: 0, digest: await digestOf(new Uint8Array(0)) }));
    expect((await reading).done).toBe(true);
    await honest.confirm();
    await raw.close();
  };
  return { raw, opened, refusal, alive };
}

const chunk = async (offset: number, bytes: Uint8Array): Promise<[Uint8Array, Uint8Array]> => [
  encodeDataHeader(offset, [checksumOf(bytes)]),
  bytes,
];

test('a sender beyond its credit is refused, and memory is not its to take', async () => {
  const { raw, opened, refusal, alive } = await dishonest();
  const next = opened();
  await raw.control('open', 1, pack({ meta: null }));
  const stream = await next;
  const reader = stream.read({ windowBytes: 2 * MIB });
  const first = reader.next();
  await settled();
  for (let i = 0; i < 4; i++) await raw.bulk('data', 1, ...(await chunk(i * MIB, new Uint8Array(MIB))));
  await expect(first.then(() => reader.next())).rejects.toMatchObject({
    code: 'bad-frame',
    message: expect.stringContaining('was granted'),
  });
  expect(await refusal).toContain('granted');
  await alive();
});

test.each([
  [
    'a second leaf behind a short one',
    [
      [0, 5],
      [5, 5],
    ],
  ],
  [
    'a leaf that begins within another',
    [
      [0, MIB],
      [MIB - 1, 5],
    ],
  ],
  [
    'a leaf beyond the next',
    [
      [0, MIB],
      [2 * MIB, 5],
    ],
  ],
  ['more than a leaf with one checksum', [[0, 2 * MIB]]],
])('%s is refused', async (_, leaves) => {
  const { raw, opened, refusal, alive } = await dishonest();
  const next = opened();
  await raw.control('open', 1, pack({ meta: null }));
  const reader = (await next).read({ windowBytes: 8 * MIB });
  const reading = (async () => {
    for await (const _ of reader);
  })();
  await settled();
  for (const [offset, length] of leaves as [number, number][]) await raw.bulk('data', 1, ...(await chunk(offset, new Uint8Array(length))));
  await expect(reading).rejects.toMatchObject({ code: 'bad-frame' });
  expect(await refusal).toContain('was expected');
  await alive();
});

test('data before an accept, behind an end, or without a byte is refused', async () => {
  const { raw, opened, refusal, alive } = await dishonest();
  const next = opened();
  await raw.control('open', 1, pack({ meta: null }));
  await next;
  await raw.bulk('data', 1, ...(await chunk(0, Uint8Array.of(1))));
  expect(await refusal).toContain('before the stream was accepted');
  await alive();
  for (const payloads of [[new Uint8Array(0)], [Uint8Array.of(1)]]) {
    const other = await dishonest();
    const stream = other.opened();
    await other.raw.control('open', 1, pack({ meta: null }));
    const reading = (await stream)
      .read()
      .next()
      .catch(() => {});
    await settled();
    if (payloads[0]?.length === 1) await other.raw.control('end', 1, pack({ totalBytes: 0, digest: '0'.repeat(32) }));
    await other.raw.bulk('data', 1, ...(await chunk(0, payloads[0] as Uint8Array)));
    await reading;
    if (payloads[0]?.length === 0) expect(await other.refusal).toContain('without a byte');
    await other.alive();
  }
});

test.each([
  ['a retry of what was never sent', 'retry', { offset: 1 }],
  ['an end from the receiver', 'done', undefined],
  ['a second accept', 'accept', { offset: 0, limit: 5, chunk: MIB }],
  ['an accept from beyond the end', 'accept', { offset: 50, limit: 60, chunk: MIB }],
  ['an accept from within a leaf', 'accept', { offset: 5, limit: 60, chunk: MIB }],
  ['a retry from within a leaf', 'retry', { offset: 5 }],
  ['an accept from the end of what has neither digest nor name', 'accept', { offset: 20, limit: 60, chunk: MIB }],
] as const)('%s ends the session of who broke the rule', async (what, type, header) => {
  const [near, farEnd] = connectionPair('memory://rules');
  const session = new Session(near, { name: 'sender' });
  const raw = new Session(farEnd, { name: 'liar' });
  const streams = new Streams(session, () => {});
  raw.handle('open', (frame) => {
    if (what === 'a second accept') void raw.control('accept', frame.stream, pack({ offset: 0, limit: 0, chunk: MIB }));
    void raw.control(type, frame.stream, header && pack(header));
  });
  for (const other of ['data', 'end', 'reset'] as const) raw.handle(other, () => {});
  await Promise.all([session.start(), raw.start()]);
  await expect(streams.send(null, memorySource(new Uint8Array(20)))).rejects.toMatchObject({ code: 'bad-frame' });
  await expect(session.closed).resolves.toMatchObject({ code: 'bad-frame' });
});

/** Sends, by hand, a stream of one byte, whose confirmation allows the next one to be early. */
async function allowedEarly(): Promise<
  Awaited<ReturnType<typeof dishonest>> & { readonly limit: number; readonly ended: Promise<FedStreamError> }
> {
  const peer = await dishonest();
  const { raw, opened } = peer;
  const allowed = new Promise<number>((resolve) =>
    raw.handle('done', ({ header }) => resolve(unpack(header, doneSchema, 'done').early.limit)),
  );
  const next = opened();
  await raw.control('open', 1, pack({ meta: null }));
  const stream = await next;
  const reading = (async () => {
    for await (const _ of stream.read());
    await stream.confirm();
  })();
  const byte = Uint8Array.of(7);
  await settled();
  await raw.bulk('data', 1, ...(await chunk(0, byte)));
  await raw.control('end', 1, pack({ totalBytes: 1, digest: await digestOf(byte) }));
  await reading;
  return { ...peer, limit: await allowed, ended: raw.closed };
}

test.each([
  ['that was allowed nothing', async () => ({ ...(await dishonest()), limit: 1 }), 0],
  ['that announces more than it was allowed', allowedEarly, 1],
] as const)('a stream %s ends the session', async (_, make, more) => {
  const { raw, limit } = await make();
  await raw.control('open', 2, pack({ meta: null, totalBytes: limit + more, early: limit + more }));
  expect(await raw.closed).toMatchObject({ code: 'bad-frame', message: expect.stringContaining('not allowed') });
});

test('what is allowed is allowed once', async () => {
  const { raw, opened, limit } = await allowedEarly();
  const next = opened();
  await raw.control('open', 2, pack({ meta: null, totalBytes: limit, early: limit }));
  await next;
  await raw.control('open', 3, pack({ meta: null, totalBytes: 1, early: 1 }));
  expect(await raw.closed).toMatchObject({ code: 'bad-frame', message: expect.stringContaining('not allowed') });
});

test.each([
  [
    'more bytes than were announced',
    [
      ['data', 0, 1000],
      ['data', 1000, 1],
    ],
  ],
  ['an end before them', [['data', 0, 999], ['end']]],
  ['two ends', [['data', 0, 1000], ['end'], ['end']]],
  ['crumbs', [0, 1, 2, 3].map((offset) => ['data', offset, 1] as const)],
  ['a chunk without a byte', [['data', 0, 0]]],
] as const)('%s, before the stream is accepted, are refused', async (_, frames) => {
  const { raw, opened, refusal, alive } = await allowedEarly();
  const next = opened();
  await raw.control('open', 2, pack({ meta: null, totalBytes: 1000, early: 1000 }));
  await next;
  for (const [type, offset = 0, length = 0] of frames) {
    if (type === 'end') await raw.control('end', 2, pack({ totalBytes: 1000, digest: '0'.repeat(32) }));
    else await raw.bulk('data', 2, ...(await chunk(offset, new Uint8Array(length))));
  }
  expect(await refusal).toContain('before the stream was accepted');
  await alive();
});
