// Steps of streams that an insider opens: results as they should be, and in every way that they
// should not.
import { pack } from '../../../src/frame/pack.js';
import { CHECKSUM_BYTES } from '../../../src/stream/digest.js';
import { LEAF_BYTES } from '../../../src/stream/leaf-sums.js';
import { encodeDataHeader, openSchema } from '../../../src/stream/stream-frames.js';
import type { Posted } from './board-watch.js';
import { chance, noise, pick } from './chance.js';
import { someTask } from './choose-task.js';
import type { Insider } from './insider.js';
import { mutated, wildBytes } from './nasty-values.js';
import type { OpenedStream } from './opened-stream.js';
import { figuresFor } from './requests.js';
import type { ResultObject } from './results.js';
import type { Scene, Step } from './step.js';

/** Data frames carry at most this much. */
const CHUNK_BYTES = 1024 * 1024;

/** Opens a stream as it should be. */
export function openGood(scene: Scene, insider: Insider, posted: Posted, object: ResultObject): void {
  const { random, world } = scene;
  // The same name for the same bytes, so that a later session resumes.
  const objectId = chance(random, 0.8) ? `${posted.task.id}-${object.name}` : undefined;
  const total = { ...(chance(random, 0.8) && { totalBytes: object.bytes.length }), ...(chance(random, 0.3) && { digest: object.digest }) };
  const meta = { kind: 'result', figures: figuresFor(scene, posted.task.id) };
  const early = insider.early && insider.early.limit >= object.bytes.length && chance(random, 0.7);
  const { chunk = CHUNK_BYTES } = insider.early ?? {};
  if (early) insider.early = undefined;
  const id = insider.nextId++;
  world.watch.said(insider.site, posted.task.id);
  insider.opened.set(id, {
    id,
    object,
    posted,
    objectId: objectId ?? total.digest,
    lawful: true,
    complete: false,
    state: 'opened',
    offset: 0,
    limit: early ? object.bytes.length : 0,
    inTime: world.watch.open(insider.site) === posted,
    awaitsRetry: false,
  });
  insider.send('open', id, { meta, ...total, ...(objectId && { id: objectId }), ...(early && { early: object.bytes.length }) });
  if (!early) return;
  const stream = insider.opened.get(id) as OpenedStream;
  while (stream.offset < object.bytes.length) sendTo(insider, stream, Math.min(object.bytes.length, stream.offset + chunk));
  sendEnd(insider, stream);
  scene.findings.count('sent early');
}

/** Sends the next bytes, or the end, as they should be. */
export function goOn(scene: Scene, insider: Insider, stream: OpenedStream): void {
  if (stream.awaitsRetry) return;
  if (stream.offset >= stream.object.bytes.length) sendEnd(insider, stream);
  else sendNext(scene, insider, stream);
}

function sendNext({ random }: Scene, insider: Insider, stream: OpenedStream): void {
  const { bytes } = stream.object;
  const most = Math.min(bytes.length, stream.limit, stream.offset + CHUNK_BYTES);
  if (most <= stream.offset) return;
  sendTo(insider, stream, chance(random, 0.7) ? most : stream.offset + 1 + random.integer(most - stream.offset));
}

/** Sends the bytes up to an offset. */
function sendTo(insider: Insider, stream: OpenedStream, to: number): void {
  const { bytes, sums } = stream.object;
  const frame = sumsBetween(stream.object, stream.offset, to).map((index) => sums.at(index));
  insider.send('data', stream.id, encodeDataHeader(stream.offset, frame), bytes.subarray(stream.offset, to));
  stream.offset = to;
}

/** The leaves that end between two offsets. */
function sumsBetween({ bytes }: ResultObject, from: number, to: number): number[] {
  const ends: number[] = [];
  for (let leaf = Math.floor(from / LEAF_BYTES); leaf < Math.floor(to / LEAF_BYTES); leaf++) ends.push(leaf);
  if (to === bytes.length && to % LEAF_BYTES > 0) ends.push(Math.floor(to / LEAF_BYTES));
  return ends;
}

function sendEnd(insider: Insider, stream: OpenedStream): void {
  const { object } = stream;
  stream.state = 'ending';
  stream.complete = stream.lawful;
  insider.send('end', stream.id, { totalBytes: object.bytes.length, digest: object.digest });
}

/** A stream of the insider that is not over; preferably one that goes well. */
function someStream({ random }: Scene, { opened }: Insider): OpenedStream | undefined {
  const live = [...opened.values()].filter(({ state }) => state !== 'over');
  return live.length > 0 ? pick(random, live) : undefined;
}

function openWild(scene: Scene, insider: Insider): void {
  const { random } = scene;
  const posted = someTask(scene, insider);
  const good = { meta: { kind: 'result', figures: figuresFor(scene, posted?.task.id ?? 'none') }, id: 'x', totalBytes: 100 };
  const header = chance(random, 0.5) ? pack({ ...good, meta: mutated(good.meta, random) }) : wildBytes(good, random);
  const id = insider.nextId++;
  if (posted) scene.world.watch.said(insider.site, posted.task.id);
  insider.mayEnd.add('a wild open frame');
  insider.opened.set(id, { ...lost(scene, id), posted });
  insider.send('open', id, header);
}

/** A stream of which nothing is expected. */
function lost({ objects }: Scene, id: number): OpenedStream {
  const object = objects[1] as ResultObject;
  return {
    id,
    object,
    posted: undefined,
    objectId: undefined,
    lawful: false,
    complete: false,
    state: 'opened',
    offset: 0,
    limit: 0,
    inTime: false,
    awaitsRetry: false,
  };
}

function sendWrong(scene: Scene, insider: Insider, stream: OpenedStream): void {
  const { random } = scene;
  const { bytes, sums, digest } = stream.object;
  const rest = bytes.subarray(stream.offset);
  stream.lawful = false;
  switch (random.integer(7)) {
    case 0:
      insider.send('data', stream.id, encodeDataHeader(stream.offset + pick(random, [1, 100, 2 ** 40]), []), rest.subarray(0, 50));
      break;
    case 1:
      insider.send('data', stream.id, encodeDataHeader(stream.offset, []), new Uint8Array(0));
      break;
    case 2:
      insider.send('data', stream.id, noise(random, 40), rest.subarray(0, 50));
      break;
    case 3:
      insider.send('data', stream.id, encodeDataHeader(stream.offset, [sums.at(0), sums.at(0), sums.at(0)]), rest.subarray(0, 10));
      break;
    case 4:
      insider.send('end', stream.id, { totalBytes: pick(random, [0, bytes.length + 1, 2 ** 52]), digest });
      break;
    case 5:
      insider.send('end', stream.id, wildBytes({ totalBytes: bytes.length, digest }, random));
      break;
    default:
      insider.send('data', stream.id, encodeDataHeader(stream.offset, []), new Uint8Array(2_000_000));
      break;
  }
}

/** A leaf with a sum that is wrong; the server asks for it again. */
function sendDamaged({ random }: Scene, insider: Insider, stream: OpenedStream): void {
  const { bytes } = stream.object;
  const isLast = bytes.length < LEAF_BYTES && stream.state === 'accepted' && stream.limit >= bytes.length && stream.offset < bytes.length;
  if (!isLast || stream.awaitsRetry || !stream.lawful) return;
  stream.awaitsRetry = true;
  insider.send(
    'data',
    stream.id,
    encodeDataHeader(stream.offset, [Uint8Array.from({ length: CHECKSUM_BYTES }, () => random.integer(256))]),
    bytes.subarray(stream.offset),
  );
}

export const resultSteps: readonly Step[] = [
  {
    name: 'a result of any kind',
    weight: 4,
    run: (scene, insider) => {
      const posted = someTask(scene, insider);
      const { random, objects } = scene;
      if (posted) openGood(scene, insider, posted, chance(random, 0.3) ? (objects[0] as ResultObject) : pick(random, objects));
    },
  },
  {
    name: 'the next bytes of a stream',
    weight: 10,
    run: (scene, insider) => {
      const stream = someStream(scene, insider);
      if (stream?.state === 'accepted') goOn(scene, insider, stream);
    },
  },
  {
    name: 'wrong bytes of a stream',
    weight: 2,
    run: (scene, insider) => {
      const stream = someStream(scene, insider);
      if (stream) sendWrong(scene, insider, stream);
    },
  },
  {
    name: 'a damaged leaf',
    weight: 1,
    run: (scene, insider) => {
      const stream = someStream(scene, insider);
      if (stream) sendDamaged(scene, insider, stream);
    },
  },
  { name: 'a wild open frame', weight: 1, run: openWild },
  {
    name: 'a stream opened twice',
    weight: 0.2,
    run: (scene, insider) => {
      const stream = someStream(scene, insider);
      if (!stream) return;
      insider.mayEnd.add('a stream opened twice');
      stream.lawful = false;
      insider.send('open', stream.id, { meta: {} });
    },
  },
  {
    name: 'early bytes that nobody allowed',
    weight: 0.2,
    run: (scene, insider) => {
      const id = insider.nextId++;
      insider.opened.set(id, lost(scene, id));
      insider.mustEnd = 'early bytes that nobody allowed';
      insider.send('open', id, { meta: {}, early: 2 ** 40 });
    },
  },
  {
    name: 'a reset',
    weight: 1,
    run: (scene, insider) => {
      const stream = someStream(scene, insider);
      if (!stream) return;
      if (chance(scene.random, 0.7)) insider.send('reset', stream.id, { code: 'aborted', message: 'no more' });
      else insider.send('reset', stream.id, wildBytes({ code: 'aborted', message: 'no more' }, scene.random));
      stream.lawful = false;
    },
  },
  {
    name: 'frames of no stream',
    weight: 1,
    run: ({ random }, insider) => {
      const id = 1_000_000 + random.integer(1000);
      const types = ['data', 'end', 'reset', 'accept', 'credit', 'done', 'retry', 'refuse'] as const;
      insider.send(pick(random, types), id, noise(random, 30), noise(random, 30));
    },
  },
  {
    name: 'many streams at once',
    weight: 0.1,
    run: (scene, insider) => {
      for (let i = 0; i < 80; i++) {
        const id = insider.nextId++;
        const header = pack({ meta: { kind: 'result', figures: figuresFor(scene, `none-${i}`) }, totalBytes: 1e12 });
        openSchema.parse({ meta: {}, totalBytes: 1e12 });
        insider.opened.set(id, lost(scene, id));
        insider.send('open', id, header);
      }
    },
  },
];
