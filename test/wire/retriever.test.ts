// Retrievers: either side asks the other for a named object. Names never leave their folder, models
// come in every mode, and broken transfers resume.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { FedStreamError } from '../../src/core/errors.js';
import type { Json } from '../../src/core/json.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Folder } from '../../src/core/storage.js';
import type { Connection, Driver } from '../../src/driver/driver.js';
import { memory } from '../../src/driver/memory.js';
import { Retriever } from '../../src/exchange/retriever.js';
import { Session } from '../../src/frame/session.js';
import { tcp } from '../../src/node/drivers/tcp.js';
import { nodeFolder } from '../../src/node/storage/node-folder.js';
import { memorySource } from '../../src/stream/source.js';
import { Offers } from '../../src/transfer/offers.js';
import { TensorReceiver } from '../../src/transfer/receive-tensors.js';
import { STREAMING_MODES } from '../../src/transfer/streaming-mode.js';
import { chunksOf, ENCODINGS, someModel } from './models.js';

const codecs = referenceCodecs;
const parent = mkdtempSync(join(tmpdir(), 'fedstream-retriever-'));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

interface Pair {
  readonly near: Retriever;
  readonly far: Retriever;
  close(): Promise<void>;
}

async function pair(driver: Driver, url: string, nearOffers?: Offers, farOffers?: Offers, wire = (one: Connection) => one): Promise<Pair> {
  let accept: (connection: Connection) => void = () => {};
  const accepted = new Promise<Connection>((resolve) => {
    accept = resolve;
  });
  const listener = await driver.listen?.(url, accept);
  if (!listener) throw new Error('this driver cannot listen');
  const [nearSession, farSession] = [
    new Session(wire(await driver.connect(listener.url)), { name: 'near' }),
    new Session(await accepted, { name: 'far' }),
  ];
  const near = new Retriever(nearSession, { codecs, ...(nearOffers ? { offers: nearOffers } : {}) });
  const far = new Retriever(farSession, { codecs, ...(farOffers ? { offers: farOffers } : {}) });
  await Promise.all([nearSession.start(), farSession.start()]);
  return {
    near,
    far,
    async close() {
      await nearSession.close();
      await listener.close();
    },
  };
}

const overMemory = (nearOffers?: Offers, farOffers?: Offers, wire?: (one: Connection) => Connection): Promise<Pair> =>
  pair(memory(), 'memory://retriever', nearOffers, farOffers, wire);

async function put(folder: Folder, name: string, bytes: Uint8Array): Promise<void> {
  const file = await folder.create(name);
  await file.write(bytes, 0);
  await file.close();
}

async function get(folder: Folder, name: string): Promise<Buffer> {
  const bytes = Buffer.alloc((await folder.sizeBytes(name)) ?? -1);
  const file = await folder.open(name);
  await file.read(bytes, 0);
  await file.close();
  return bytes;
}

const noise = (length: number): Buffer => Buffer.from(Uint8Array.from({ length }, (_, i) => (i * i) >> 5));

test.each(['memory', 'tcp'])('over %s either side asks for models in every mode, and for files', async (scheme) => {
  const files = memoryFolder('files');
  await put(files, 'sub/some.bin', noise(2_500_000));
  await put(files, 'empty', new Uint8Array(0));
  const models = STREAMING_MODES.map((mode, i) => ({ mode, model: someModel(ENCODINGS[mode === 'file' ? 'nf4' : 'fp32'] as never, i) }));
  const offers = (): Offers => {
    const made = new Offers({ codecs, files, spools: memoryFolder() });
    for (const { mode, model } of models) made.model(mode, model, mode);
    return made;
  };
  const both = scheme === 'tcp' ? await pair(tcp(), 'tcp://127.0.0.1:0', offers(), offers()) : await overMemory(offers(), offers());
  for (const asker of [both.near, both.far]) {
    for (const { mode, model } of models) {
      const received = await asker.model(mode, { folder: memoryFolder(), name: 'got' });
      expect(Buffer.concat(await chunksOf(received.model)).equals(Buffer.concat(await chunksOf(model)))).toBe(true);
      const tensors: string[] = [];
      await asker.tensors(mode, new TensorReceiver({ codecs, onTensor: ({ name }) => void tensors.push(name) }));
      expect(tensors).toEqual(model.manifest.tensors.map(({ name }) => name));
    }
    const folder = memoryFolder();
    await Promise.all([
      asker.file('sub/some.bin', { folder, as: 'a' }),
      asker.file('sub/some.bin', { folder, as: 'b' }),
      asker.file('empty', { folder }),
    ]);
    expect(await folder.list()).toEqual(['a', 'b', 'empty']);
    for (const name of ['a', 'b']) expect((await get(folder, name)).equals(noise(2_500_000))).toBe(true);
  }
  await both.close();
});

test('a model is coded once, served to many, and removed when it is withdrawn', async () => {
  const spools = memoryFolder();
  const offers = new Offers({ codecs, spools });
  const model = someModel(ENCODINGS.bf16 as never);
  let reads = 0;
  const counted = {
    manifest: model.manifest,
    chunks: () => {
      reads++;
      return model.chunks();
    },
  };
  offers.model('global', counted, 'file');
  expect(() => offers.model('global', model, 'file')).toThrow(expect.objectContaining({ code: 'bad-argument' }));
  const both = await overMemory(undefined, offers);
  await Promise.all([1, 2, 3].map((i) => both.near.model('global', { folder: memoryFolder(), name: String(i) })));
  expect(reads).toBe(1);
  expect((await spools.list()).length).toBe(1);
  await offers.withdraw('global');
  expect(await spools.list()).toEqual([]);
  await expect(both.near.model('global', { folder: memoryFolder(), name: 'x' })).rejects.toMatchObject({ code: 'not-found' });
  await expect(both.far.model('global', { folder: memoryFolder(), name: 'x' })).rejects.toMatchObject({ code: 'not-found' });
  await both.close();
});

test('no name leads out of the folder', async () => {
  const outside = join(parent, 'outside');
  const allowed = join(parent, 'allowed');
  for (const path of [outside, allowed, join(allowed, 'sub')]) mkdirSync(path);
  writeFileSync(join(outside, 'secret'), 'secret');
  writeFileSync(join(allowed, 'sub', 'open'), 'open');
  writeFileSync(join(allowed, 'half.part'), 'half');
  symlinkSync(join(outside, 'secret'), join(allowed, 'link'));
  symlinkSync(outside, join(allowed, 'linked'));
  const both = await overMemory(undefined, new Offers({ codecs, files: nodeFolder(allowed), spools: memoryFolder() }));
  const folder = memoryFolder();
  const ask = (name: string): Promise<unknown> => both.near.file(name, { folder, as: 'got' });
  const hostile = [
    '../outside/secret',
    'sub/../../outside/secret',
    join(outside, 'secret'),
    'link',
    'linked/secret',
    'half.part',
    'sub',
    '.',
    'a\0b',
    'a\\b',
    '/',
  ];
  for (const name of hostile) {
    const error = await ask(name).then(
      () => undefined,
      (thrown: FedStreamError) => thrown,
    );
    expect(['bad-argument', 'not-found', 'io'], name).toContain(error?.code);
  }
  const segment = fc.oneof(
    fc.constantFrom('..', '.', '', 'sub', 'outside', 'secret', 'link', 'linked', 'open'),
    fc.string({ maxLength: 6 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(segment, { minLength: 1, maxLength: 6 }), async (segments) => {
      const name = segments.join('/');
      const got = await ask(name).then(
        () => get(folder, 'got'),
        () => undefined,
      );
      if (got) expect([name, got.toString()]).toEqual(['sub/open', 'open']);
    }),
    { seed: 4, numRuns: 400 },
  );
  await ask('sub/open');
  expect((await get(folder, 'got')).toString()).toBe('open');
  await both.close();
});

test('a file that was cut off resumes; one that has changed begins anew; one that is too large is refused', async () => {
  const files = memoryFolder('files');
  const bytes = noise(5_000_000);
  await put(files, 'data', bytes);
  const offers = new Offers({ codecs, files, spools: memoryFolder() });
  const cut = (one: Connection): Connection => {
    let came = 0;
    return {
      peer: one.peer,
      closed: one.closed,
      close: (reason) => one.close(reason),
      async *[Symbol.asyncIterator]() {
        for await (const frame of one) {
          came += frame.length;
          if (came > 2.5 * 2 ** 20) await one.close(new FedStreamError('closed', 'cut'));
          yield frame;
        }
      },
      send: (...parts) => one.send(...parts),
    };
  };
  const folder = memoryFolder();
  const first = await overMemory(undefined, offers, cut);
  await expect(first.near.file('data', { folder })).rejects.toMatchObject({ code: 'closed' });
  const had = (await folder.sizeBytes('data.part')) ?? 0;
  expect(had).toBeGreaterThan(2 ** 20);
  const second = await overMemory(undefined, offers);
  await expect(second.near.file('data', { folder, maxBytes: 4_000_000 })).rejects.toMatchObject({ code: 'limit' });
  const third = await overMemory(undefined, offers, cut);
  await expect(third.near.file('data', { folder })).rejects.toMatchObject({ code: 'closed' });
  expect((await second.near.file('data', { folder })).resumedBytes).toBeGreaterThan(2 ** 20);
  expect((await get(folder, 'data')).equals(bytes)).toBe(true);
  // A part of the old file is not taken for the beginning of the new one.
  const fourth = await overMemory(undefined, offers, cut);
  await expect(fourth.near.file('data', { folder, as: 'again' })).rejects.toMatchObject({ code: 'closed' });
  const changed = Buffer.from(bytes);
  changed[3] = 77;
  await put(files, 'data', changed);
  await expect(second.near.file('data', { folder, as: 'again' })).resolves.toMatchObject({ resumedBytes: 0 });
  expect((await get(folder, 'again')).equals(changed)).toBe(true);
  // The old file stays until the new one is whole, and is not taken for its beginning.
  const fifth = await overMemory(undefined, offers, cut);
  await expect(fifth.near.file('data', { folder })).rejects.toMatchObject({ code: 'closed' });
  expect((await get(folder, 'data')).equals(bytes)).toBe(true);
  expect((await second.near.file('data', { folder })).resumedBytes).toBeGreaterThan(2 ** 20);
  expect((await get(folder, 'data')).equals(changed)).toBe(true);
  expect(await folder.list()).toEqual(['again', 'data']);
  await second.close();
});

test('a stream that nobody asked for is refused', async () => {
  const both = await overMemory();
  const metas: Json[] = [{ kind: 'retrieved', ask: 5 }, { kind: 'other' }];
  for (const meta of metas)
    await expect(both.near.streams.send(meta, memorySource(new Uint8Array(3)))).rejects.toBeInstanceOf(FedStreamError);
  await both.close();
});
