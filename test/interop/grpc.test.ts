// The grpc driver against clients and servers that a gRPC library generates from the .proto alone.
import { fileURLToPath } from 'node:url';
import {
  type Client,
  type ClientDuplexStream,
  compressionAlgorithms,
  credentials,
  loadPackageDefinition,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceClientConstructor,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { expect, test } from 'vitest';
import type { Connection } from '../../src/driver/driver.js';
import { grpc } from '../../src/node/drivers/grpc.js';

interface Message {
  frame: Buffer;
}
type Call = ClientDuplexStream<Partial<Message>, Message>;

const file = fileURLToPath(new URL('../../proto/fedstream/v1/frames.proto', import.meta.url));
const definition = loadSync(file);
const { Frames } = (loadPackageDefinition(definition) as never as { fedstream: { v1: { Frames: ServiceClientConstructor } } }).fedstream.v1;

/** A client from the .proto, connected to our listener. */
async function meet(run: (client: Client & { Connect(): Call }, accepted: Connection[]) => Promise<void>, options = {}): Promise<void> {
  const accepted: Connection[] = [];
  const listener = await grpc().listen?.('grpc://127.0.0.1:0', (connection) => accepted.push(connection));
  const client = new Frames((listener?.url ?? '').replace('grpc://', ''), credentials.createInsecure(), options);
  try {
    await run(client as never, accepted);
  } finally {
    client.close();
    await listener?.close();
  }
}

test('a client made from the .proto exchanges frames with the driver, also in two calls at once', async () => {
  await meet(async (client, accepted) => {
    for (const i of [0, 1]) {
      const call = client.Connect();
      const received: string[] = [];
      call.on('error', () => {}); // the first call is cut off at the end
      call.on('data', ({ frame }) => received.push(frame.toString()));
      await new Promise((resolve) => call.once('metadata', resolve));
      call.write({ frame: Buffer.from('from outside') });
      const connection = accepted[i] as Connection;
      const frames = connection[Symbol.asyncIterator]();
      expect(Buffer.from((await frames.next()).value as Uint8Array).toString()).toBe('from outside');
      await connection.send(Buffer.from('from '), Buffer.from('inside'));
      if (i === 0) continue; // stays open during the next call
      const status = new Promise((resolve) => call.once('status', resolve));
      call.end();
      expect(await status).toMatchObject({ code: 0 });
      expect(received).toEqual(['from inside']);
      expect(await connection.closed).toBeUndefined();
    }
    await (accepted[0] as Connection).close(new Error('enough'));
  });
});

test('a client of the driver exchanges frames with a server made from the .proto', async () => {
  const server = new Server();
  const echo = (call: ServerDuplexStream<Message, Message>): void => {
    call.sendMetadata(new Metadata());
    call.on('data', (message) => void call.write(message));
    call.on('end', () => call.end());
  };
  server.addService(Frames.service, { Connect: echo });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, found) => (error ? reject(error) : resolve(found))),
  );
  const connection = await grpc().connect(`grpc://127.0.0.1:${port}`);
  const frames = connection[Symbol.asyncIterator]();
  for (const bytes of [1, 127, 128, 16_383, 16_384, 65_536, 2_097_151, 2_097_152, 4_000_000]) {
    const frame = Buffer.alloc(bytes, bytes % 251);
    const [, echoed] = await Promise.all([connection.send(frame.subarray(0, 1), frame.subarray(1)), frames.next()]);
    expect(Buffer.from(echoed.value as Uint8Array).equals(frame), `${bytes} bytes`).toBe(true);
  }
  await connection.close();
  expect(await connection.closed).toBeUndefined();
  server.forceShutdown();
});

test('a server without the method is refused, and the error says so', async () => {
  const server = new Server();
  const port = await new Promise<number>((resolve) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (_, found) => resolve(found)),
  );
  await expect(grpc().connect(`grpc://127.0.0.1:${port}`)).rejects.toMatchObject({
    code: 'bad-argument',
    message: expect.stringMatching(/gRPC status 12/),
  });
  server.forceShutdown();
});

test.each([
  ['an empty message', {}, {}, 'bad-frame'],
  ['an empty frame', { frame: Buffer.alloc(0) }, {}, 'bad-frame'],
  [
    'a compressed frame',
    { frame: Buffer.alloc(2_000) },
    { 'grpc.default_compression_algorithm': compressionAlgorithms.gzip },
    'unsupported',
  ],
])('%s ends the call', async (_, message, options, code) => {
  await meet(async (client, accepted) => {
    const call = client.Connect();
    const status = new Promise((resolve) => call.once('status', resolve));
    call.on('error', () => {});
    call.on('data', () => {});
    await new Promise((resolve) => call.once('metadata', resolve));
    call.write(message);
    expect(await (accepted[0] as Connection).closed).toMatchObject({ code });
    expect(await status).not.toMatchObject({ code: 0 });
  }, options);
});
