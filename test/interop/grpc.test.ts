// Another language speaks the grpc driver from its .proto alone: here a client that the library generates from the file.
import { fileURLToPath } from 'node:url';
import { type ClientDuplexStream, credentials, loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { expect, test } from 'vitest';
import type { Connection } from '../../src/driver/driver.js';
import { grpc } from '../../src/node/drivers/grpc.js';
import { decodeFrameMessage, FrameMessage } from '../../src/node/drivers/grpc-frames.js';

const file = fileURLToPath(new URL('../../proto/fedstream/v1/frames.proto', import.meta.url));
const definition = loadSync(file);

test('a client made from the .proto exchanges frames with the driver', async () => {
  const accepted: Connection[] = [];
  const listener = await grpc().listen?.('grpc://127.0.0.1:0', (connection) => accepted.push(connection));
  const { Frames } = (loadPackageDefinition(definition) as never as { fedstream: { v1: Record<string, never> } }).fedstream.v1;
  const Service = Frames as unknown as new (
    address: string,
    how: unknown,
  ) => { Connect(): ClientDuplexStream<unknown, { frame: Buffer }>; close(): void };
  const client = new Service((listener?.url ?? '').replace('grpc://', ''), credentials.createInsecure());
  const call = client.Connect();
  const received: string[] = [];
  call.on('data', ({ frame }) => received.push(frame.toString()));
  await new Promise((resolve) => call.once('metadata', resolve));
  call.write({ frame: Buffer.from('from outside') });
  const connection = accepted[0] as Connection;
  const frames = connection[Symbol.asyncIterator]();
  expect(Buffer.from((await frames.next()).value as Uint8Array).toString()).toBe('from outside');
  await connection.send(Buffer.from('from '), Buffer.from('inside'));
  const status = new Promise((resolve) => call.once('status', resolve));
  call.end();
  expect(await status).toMatchObject({ code: 0 });
  expect(received).toEqual(['from inside']);
  expect(await connection.closed).toBeUndefined();
  client.close();
  await listener?.close();
});

test('messages are what protobuf makes of them', () => {
  const method = (definition['fedstream.v1.Frames'] as Record<string, { requestSerialize(value: unknown): Buffer }>).Connect;
  for (const bytes of [1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 4_198_400]) {
    const frame = Buffer.alloc(bytes, bytes % 251);
    const message = new FrameMessage([frame.subarray(0, 1), frame.subarray(1)], bytes);
    const ours = Buffer.alloc(message.length);
    expect(message.copy(ours)).toBe(ours.length);
    expect(ours.equals(method?.requestSerialize({ frame }) as Buffer), `${bytes} bytes`).toBe(true);
    expect(Buffer.from(decodeFrameMessage(ours)).equals(frame)).toBe(true);
  }
});

test.each([
  ['nothing', []],
  ['an empty frame', [0x0a, 0]],
  ['another field', [0x12, 1, 7]],
  ['a length beyond the end', [0x0a, 5, 1, 2]],
  ['bytes behind the frame', [0x0a, 1, 7, 8]],
  ['a length without an end', [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
])('%s is no frame', (_, bytes) => {
  expect(() => decodeFrameMessage(Buffer.from(bytes))).toThrowError(expect.objectContaining({ code: 'bad-frame' }));
});
