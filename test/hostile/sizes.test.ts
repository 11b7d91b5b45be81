// Sizes that the other side chooses: a site that offers a model, and a server that fills a site's
// disk. Each is refused with one clear error before its data is taken, and nothing of it stays.
import { expect, test } from 'vitest';
import { z } from 'zod';
import { referenceCodecs as codecs } from '../../src/codec/codec-table.js';
import { BUDGETS } from '../../src/core/budgets.js';
import { type Logger, silentLogger } from '../../src/core/log.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Folder, Space } from '../../src/core/storage.js';
import { memory } from '../../src/driver/memory.js';
import { Retriever } from '../../src/exchange/retriever.js';
import { Session } from '../../src/frame/session.js';
import { runServer } from '../../src/hub/server.js';
import { parseJob } from '../../src/kit/kit.js';
import { runClient } from '../../src/site/client.js';
import { folderOfRun } from '../../src/site/run-place.js';
import { siteLink } from '../../src/site/site-link.js';
import { type ByteSource, memorySource } from '../../src/stream/source.js';
import { type Manifest, RAW, type TensorEntry } from '../../src/tensor/manifest.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import { llamaConfigJson } from '../../src/trainer/llama/config.js';
import { encodeObjectHead, objectSource } from '../../src/transfer/object.js';

const MIB = 2 ** 20;
const URL = 'memory://there';

/** An object that begins like this and never ends; counts what was taken of it. */
function endless(head: Uint8Array, claimedBytes?: number): ByteSource & { taken: number } {
  const source = {
    taken: 0,
    ...(claimedBytes !== undefined && { totalBytes: claimedBytes }),
    async *read() {
      yield head;
      for (;;) {
        source.taken += MIB;
        yield new Uint8Array(MIB);
      }
    },
  };
  return source;
}

function manifestOf(tensors: readonly Partial<TensorEntry>[], more: Partial<Manifest> = {}): Manifest {
  const whole = tensors.map((tensor, i) => ({ name: `t${i}`, dtype: 'F32' as const, shape: [1], encoding: RAW, ...tensor }));
  return { tensors: whole, chunkElements: 262_144, tied: {}, metadata: {}, ...more };
}

/** What a server says to a site that offers this as the model of the run. */
async function answerTo(source: ByteSource, job: object = {}): Promise<{ code: string; message: string; left: string[] }> {
  const driver = memory();
  const stop = new AbortController();
  const run = memoryFolder('run');
  const parsed = parseJob({ trainer: { name: 'own' }, sites: ['mallory'], rounds: 1, ...job }, 'test');
  let listening: () => void = () => {};
  const ready = new Promise<void>((resolve) => {
    listening = resolve;
  });
  const common = { codecs, log: silentLogger, signal: stop.signal, emit: () => {}, files: {} };
  const serving = runServer({ ...common, job: parsed, run, listeners: [{ driver, url: URL }], onListening: () => listening() });
  serving.catch(() => {});
  await ready;
  const session = new Session(await driver.connect(URL), { name: 'mallory' });
  const { messages, streams } = new Retriever(session, { codecs });
  await session.start();
  const next = (await messages.request('next', {}, z.any())) as { task: { id: string } };
  const figures = { task: next.task.id, samples: 1, steps: 0, trainLoss: 0, counts: {}, files: {} };
  const error = await streams.send({ kind: 'result', figures }, source).catch((failure: unknown) => failure);
  const left = await run.list('rounds/round-0000');
  stop.abort();
  await session.close();
  await serving.catch(() => {});
  const { code, message } = error as { code: string; message: string };
  return { code, message, left: left.filter((name) => name.includes('spool')) };
}

test.each<[string, () => { source: ByteSource; taken?: () => number }, RegExp]>([
  [
    'more than the job takes (budget offerBytes)',
    () => {
      const head = encodeObjectHead(manifestOf([{ dtype: 'BF16', shape: [BUDGETS.offerBytes.limit / 2 + 1] }]));
      const source = endless(head, head.length + BUDGETS.offerBytes.limit + 2);
      return { source, taken: () => source.taken };
    },
    /the model that mallory offers has 20000000002 bytes; the job takes at most 20000000000 \(offerBytes\)/,
  ],
  [
    '2^53 values in no bytes at all',
    () => ({
      source: endless(
        encodeObjectHead(manifestOf([{ dtype: 'F32', shape: [2 ** 50], encoding: { codec: 'topk', parameters: { fraction: 0.0001 } } }])),
      ),
    }),
    /has t0 coded as topk|an object of/,
  ],
  [
    'chunks as large as the format allows (budget offeredChunkElements)',
    () => ({ source: endless(encodeObjectHead(manifestOf([{ shape: [2 ** 24] }], { chunkElements: 2 ** 24 }))) }),
    /has chunks of 16777216 elements; at most 1048576 are taken/,
  ],
  [
    'a manifest beyond what is read (budget offeredManifestBytes)',
    () => ({ source: endless(encodeObjectHead(manifestOf([], { metadata: { text: 'x'.repeat(34 * MIB) } }))) }),
    /claims a manifest of 35\d+ bytes; at most 34603008 are taken/,
  ],
  [
    'more tensors than any model (budget offeredTensors)',
    () => ({
      source: endless(encodeObjectHead(manifestOf(Array.from({ length: BUDGETS.offeredTensors.limit + 1001 }, () => ({ shape: [] }))))),
    }),
    /has more tensors than the 251000 that are taken/,
  ],
])('a site offers %s', async (_, make, message) => {
  const { source, taken } = make();
  const answer = await answerTo(source);
  expect(answer.message).toMatch(message);
  expect(answer.left).toEqual([]);
  expect(taken?.() ?? 0).toBeLessThan(200 * MIB);
});

test('a manifest beyond what any object may have (budget manifestBytes)', async () => {
  const head = encodeObjectHead(manifestOf([{}]));
  new DataView(head.buffer).setBigUint64(8, BigInt(BUDGETS.manifestBytes.limit + 1), true);
  expect(await answerTo(endless(head))).toMatchObject({ code: 'limit', message: expect.stringMatching(/at most 67108864 are/), left: [] });
});

const model = memoryStateDict([{ name: 'w', dtype: 'F32', shape: [1000], data: new Float32Array(1000) }]);
const whole = objectSource(model, codecs, 'w');

interface Hostile {
  readonly objects?: Readonly<Record<string, ByteSource>>;
  readonly files?: Readonly<Record<string, Uint8Array>>;
  readonly task?: object;
  readonly diskBytes?: number;
  readonly folder?: Folder;
  /** True for a site with the built-in trainer, whose model follows from `config.json`. */
  readonly builtIn?: boolean;
}

/** What a site says of a task of a hostile server, and what is left in its folder. */
async function siteOf({ objects = {}, files = {}, task = {}, diskBytes, folder = memoryFolder('site'), builtIn = false }: Hostile) {
  const driver = memory();
  const stop = new AbortController();
  const job = { sites: ['site'], ...(builtIn ? {} : { trainer: { name: 'own' } }) };
  const { workflow, aggregator, integers, extras, offerBytes, ...sent } = parseJob(job, 'test');
  let failed: (message: string) => void = () => {};
  const failure = new Promise<string>((resolve) => {
    failed = resolve;
  });
  const listener = await driver.listen?.(URL, (connection) => {
    const session = new Session(connection, { name: 'server' });
    const given = { id: 't', kind: 'train', round: 1, rounds: 1, evaluate: false, ...task };
    let asked = 0;
    new Retriever(session, {
      codecs,
      offers: {
        fileSource: async (name) => memorySource(files[name] as Uint8Array),
        modelSource: async (name) => objects[name] as ByteSource,
      },
      handlers: {
        join: () => ({ run: 'r', job: sent, files: Object.keys(files) }),
        next: () => (asked++ === 0 ? { task: given } : { stop: 'over' }),
        'has-base': () => ({}),
        progress: () => ({}),
        fail: () => ({}),
      },
    });
    void session.start().catch(() => {});
  });
  const log: Logger = {
    ...silentLogger,
    error: (_, message) => failed(message),
  };
  const common = { site: 'site', codecs, folder, log, signal: stop.signal };
  const link = siteLink({ ...common, driver, url: URL, retryMs: 500, ...(diskBytes !== undefined && { diskBytes }) });
  const trainer = {
    train: async () => {
      throw new Error('it was trained');
    },
    evaluate: async () => undefined,
    close: async () => {},
  };
  const ended = runClient({ ...common, link, memory: () => ({ rssBytes: 1, peakRssBytes: 1 }), makeTrainer: async () => trainer }).catch(
    (error: Error) => failed(error.message),
  );
  const message = await failure;
  await ended;
  const left = (await folderOfRun(folder, 'r').list()).filter((name) => /received|extras/.test(name));
  await link.close();
  await listener?.close();
  return { message, left };
}

const big = manifestOf([{ shape: [200 * MIB] }]);
const wholeTask = (bytes: number, object = 'w') => ({ model: { whole: { object, bytes } } });

test('a server sends a larger model than its config.json says', async () => {
  const config = llamaConfigJson({
    hiddenSize: 16,
    layers: 1,
    heads: 2,
    kvHeads: 2,
    headDim: 8,
    ffnSize: 32,
    vocabularySize: 300,
    maxPositions: 64,
    tied: true,
    ropeTheta: 10_000,
    rmsEps: 1e-5,
    initializerRange: 0.02,
  });
  const source = endless(encodeObjectHead(big));
  const files = { 'config.json': new TextEncoder().encode(config) };
  const { message, left } = await siteOf({ objects: { w: source }, files, task: wholeTask(800 * MIB + 1000), builtIn: true });
  expect(message).toMatch(
    /the global model has 838860800 bytes in float32; by its config.json it has at most|an object of \d+ bytes or more/,
  );
  expect(left).toEqual([]);
  expect(source.taken).toBeLessThan(150 * MIB);
});

test('a server sends more bytes than its task says', async () => {
  const { message, left } = await siteOf({ objects: { w: endless(encodeObjectHead(big)) }, task: wholeTask(1000) });
  expect(message).toMatch(/an object of \d+ bytes or more was sent; at most 1000 are taken/);
  expect(left).toEqual([]);
});

test('a server sends more than the owner of the site allows', async () => {
  const source = endless(encodeObjectHead(big));
  const { message, left } = await siteOf({ objects: { w: source }, task: wholeTask(800 * MIB + 1000), diskBytes: 100e6 });
  expect(message).toMatch(/needs 83\d MB, and .* are used: "diskBytes" of this site allows 100 MB/);
  expect(left).toEqual([]);
});

const diskOf = (space: Space): Folder => Object.assign(memoryFolder('site'), { space: async () => space });

test('a server sends more than half of what was free (budget diskShare)', async () => {
  const folder = diskOf({ totalBytes: 1e12, freeBytes: 1.5e9 + BUDGETS.diskReserveBytes.limit });
  const { message, left } = await siteOf({ folder, objects: { w: endless(encodeObjectHead(big)) }, task: wholeTask(800 * MIB + 1000) });
  expect(message).toMatch(/half of the disk's free space \("diskBytes" in the site's configuration\) allows 1\.29 GB/);
  expect(left).toEqual([]);
});

test('a server sends more than the disk has, a reserve aside (budget diskReserveBytes)', async () => {
  const folder = diskOf({ totalBytes: 1e12, freeBytes: 0.5e9 + BUDGETS.diskReserveBytes.limit });
  const { message, left } = await siteOf({
    folder,
    objects: { w: endless(encodeObjectHead(big)) },
    task: wholeTask(800 * MIB + 1000),
    diskBytes: 1e12,
  });
  expect(message).toMatch(/needs 83\d MB on a disk that has 1\.57 GB free, of which 1\.07 GB stay free/);
  expect(left).toEqual([]);
});

test('a server has texts without end (budget modelTextBytes)', async () => {
  const files = {
    'tokenizer.json': new Uint8Array(BUDGETS.modelTextBytes.limit - 10).fill(0x20),
    'config.json': new Uint8Array(11).fill(0x20),
  };
  const { message } = await siteOf({ files, task: wholeTask(10) });
  expect(message).toMatch(/an object of 11 bytes or more was sent; at most 10 are taken/);
});

test.each(['../../x', 'a/b', '.hidden', 'x'.repeat(201), 'a\0'])('an object named %j is no file of a site', async (object) => {
  const { message, left } = await siteOf({ objects: { [object]: whole }, task: wholeTask(whole.totalBytes, object) });
  expect(message).toMatch(/wrong at/);
  expect(left).toEqual([]);
});

test('spools of other objects are removed, whatever their names begin with', async () => {
  const folder = memoryFolder('site');
  for (const name of ['received-other.spool', 'received-w.spool.more.spool', 'received-w.spool.part.x'])
    await (await folder.create(name)).close();
  const { message, left } = await siteOf({ folder, objects: { w: whole }, task: wholeTask(whole.totalBytes) });
  expect(message).toBe('it was trained');
  expect(left).toEqual([]);
});

test('a server gives extras that are larger than its model', async () => {
  const extra = manifestOf([{ name: '@control/w', shape: [50 * MIB] }], {
    metadata: { 'fedstream.dicts': JSON.stringify([{ name: 'control', tensors: 1, metadata: {} }]) },
  });
  const { message, left } = await siteOf({
    objects: { w: whole, e: endless(encodeObjectHead(extra)) },
    task: { ...wholeTask(whole.totalBytes), extras: { object: 'e', bytes: 1e9 } },
    diskBytes: 10e6,
  });
  expect(message).toMatch(/extras-e.spool needs 2\d\d MB/);
  expect(left).toEqual([]);
});
