// A spool that is read while it is written: every reader gets the object's bytes, or the error of
// the coding.
import { expect, test } from 'vitest';
import { referenceCodecs } from '../codec/codec-table.js';
import { encodeModel } from '../codec/quantize.js';
import { FedStreamError } from '../core/errors.js';
import { memoryFolder } from '../core/memory-folder.js';
import { digestOf, LEAF_BYTES } from '../stream/leaf-sums.js';
import { memoryStateDict } from '../tensor/memory-state-dict.js';
import type { StateDict } from '../tensor/state-dict.js';
import { objectSource } from './object.js';
import { spoolInfo } from './spool.js';
import { spoolAhead } from './spool-ahead.js';

const codecs = referenceCodecs;
const ELEMENTS = 1_200_000;

/** Some 2.4 MB in bf16: two leaves and a short one. */
function coded(): StateDict {
  const data = new Float32Array(ELEMENTS).map((_, i) => Math.sin(i));
  const model = memoryStateDict([{ name: 'w', dtype: 'F32', shape: [ELEMENTS], data }], { chunkElements: 16_384 });
  return encodeModel(model, () => ({ codec: 'bf16' }), codecs);
}

/** The model with a gate before its chunk of that number, and perhaps an error there. */
function gated(model: StateDict, at: number, gate: Promise<void>, error?: FedStreamError): StateDict {
  return {
    manifest: model.manifest,
    async *chunks(range) {
      for await (const chunk of model.chunks(range)) {
        if (chunk.index === at) {
          await gate;
          if (error) throw error;
        }
        yield chunk;
      }
    },
  };
}

async function bytesOf(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece.slice());
  return Buffer.concat(all);
}

test('readers get leaves as soon as they are coded, and all the same object, from any leaf', async () => {
  const model = coded();
  const object = await bytesOf(objectSource(model, codecs).read(0));
  let open: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const folder = memoryFolder();
  const ahead = spoolAhead(gated(model, 50, gate), codecs, folder, 'x', 'one');
  expect(ahead.source).toMatchObject({ id: 'one', totalBytes: object.length, digest: undefined });
  const early = ahead.source.read(0)[Symbol.asyncIterator]();
  // The coding stands still at chunk 50, behind the first leaf.
  expect(Buffer.from((await early.next()).value).equals(object.subarray(0, LEAF_BYTES))).toBe(true);
  expect(await folder.list()).toEqual(['x.part']);
  const later = bytesOf(ahead.source.read(LEAF_BYTES));
  open();
  expect((await later).equals(object.subarray(LEAF_BYTES))).toBe(true);
  const rest: Buffer[] = [];
  for (let next = await early.next(); !next.done; next = await early.next()) rest.push(Buffer.from(next.value));
  expect(Buffer.concat(rest).equals(object.subarray(LEAF_BYTES))).toBe(true);
  const digest = await digestOf(object);
  expect(await ahead.whole).toMatchObject({ totalBytes: object.length, digest });
  expect(ahead.source.digest).toBe(digest);
  expect((await spoolInfo(folder, 'x')).digest).toBe(digest);
  expect((await bytesOf(ahead.source.read(2 * LEAF_BYTES))).equals(object.subarray(2 * LEAF_BYTES))).toBe(true);
  expect(await bytesOf(ahead.source.read(object.length))).toHaveLength(0);
  await ahead.release();
  expect(await folder.list()).toEqual([]);
});

test('an error of the coding reaches whoever reads and whoever will, and leaves no file', async () => {
  const error = new FedStreamError('non-finite', 'tensor w has NaN at element 900000');
  const folder = memoryFolder();
  const ahead = spoolAhead(gated(coded(), 60, Promise.resolve(), error), codecs, folder, 'x', 'one');
  await expect(bytesOf(ahead.source.read(0))).rejects.toBe(error);
  await expect(ahead.whole).rejects.toBe(error);
  await expect(bytesOf(ahead.source.read(LEAF_BYTES))).rejects.toBe(error);
  expect(await folder.list()).toEqual([]);
});

test('a spool that is released while it is coded is not coded to its end', async () => {
  let asked = 0;
  const model = coded();
  const counted: StateDict = {
    manifest: model.manifest,
    async *chunks(range) {
      for await (const chunk of model.chunks(range)) {
        asked++;
        await new Promise((resolve) => setImmediate(resolve));
        yield chunk;
      }
    },
  };
  const folder = memoryFolder();
  const ahead = spoolAhead(counted, codecs, folder, 'x', 'one');
  const reading = bytesOf(ahead.source.read(0));
  await ahead.release();
  await expect(reading).rejects.toMatchObject({ code: 'aborted' });
  expect(asked).toBeLessThan(ELEMENTS / 16_384);
  expect(await folder.list()).toEqual([]);
});
