// Byte streams over every driver, in chunks of several sizes, both ways. Drivers may reuse or free
// memory, which nobody may read afterwards.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { Connection } from '../../src/driver/driver.js';
import { SCHEMES } from '../../src/driver/scheme.js';
import { striped } from '../../src/driver/striped.js';
import { Session } from '../../src/frame/session.js';
import { nodeDrivers } from '../../src/node/drivers/node-drivers.js';
import type { IncomingStream } from '../../src/stream/incoming-stream.js';
import { digestOf } from '../../src/stream/leaf-sums.js';
import { memorySource } from '../../src/stream/source.js';
import { Streams } from '../../src/stream/streams.js';
import { localMaterial } from '../conformance/certificates.js';

const folder = mkdtempSync(join(tmpdir(), 'fedstream-streams-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const material = await localMaterial();
const KIB = 1024;
const bytes = new Uint8Array(3 * KIB * KIB + 50_000).map((_, i) => (i * 31) ^ (i >> 11));
const digest = await digestOf(bytes);

interface End {
  readonly session: Session;
  readonly streams: Streams;
}

async function end(connection: Connection, name: string, onOpen: (stream: IncomingStream) => void): Promise<End> {
  const session = new Session(connection, { name });
  const streams = new Streams(session, onOpen);
  await session.start();
  return { session, streams };
}

test.each(SCHEMES.flatMap((scheme) => [1, 2].map((stripes) => [scheme, stripes] as const)))(
  'over %s with %i stripes, the bytes arrive as they were sent',
  { timeout: 60_000 },
  async (scheme, stripes) => {
    const driver = striped(nodeDrivers(material), stripes);
    const url = scheme === 'uds' ? `uds://${join(folder, `${stripes}.sock`)}` : `${scheme}://127.0.0.1:0`;
    const chunks = [16 * KIB, 32 * KIB, 64 * KIB, 256 * KIB, KIB * KIB, 4 * KIB * KIB, undefined];
    let chunkBytes: number | undefined;
    const found: unknown[] = [];
    const take = async (stream: IncomingStream): Promise<void> => {
      const pieces: Uint8Array[] = [];
      for await (const piece of stream.read({ ...(chunkBytes ? { chunkBytes } : {}) })) pieces.push(piece.slice());
      found.push([await digestOf(Buffer.concat(pieces)), stream.foundDigest, stream.retries]);
      await stream.confirm();
    };
    const accepted = new Promise<Connection>((resolve) => {
      void driver.listen?.(url, resolve).then(async (listener) => {
        const near = await end(await driver.connect(listener.url), 'client', (stream) => void take(stream));
        const far = await server;
        for (const size of chunks) {
          chunkBytes = size;
          for (const { streams } of [near, far]) await streams.send(null, memorySource(bytes));
        }
        await near.session.close();
        await listener.close();
        finished();
      });
    });
    let finished: () => void = () => {};
    const done = new Promise<void>((resolve) => {
      finished = resolve;
    });
    const server = accepted.then((connection) => end(connection, 'server', (stream) => void take(stream)));
    await done;
    expect(found).toEqual(new Array(2 * chunks.length).fill([digest, digest, 0]));
  },
);
