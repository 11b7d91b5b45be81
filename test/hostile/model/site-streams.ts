// Streams between a hostile server and its site: objects that it sends, and results that it takes.
import { pack } from '../../../src/frame/pack.js';
import { checksumOf } from '../../../src/stream/hashed-memory.js';
import { digestOf, LEAF_BYTES } from '../../../src/stream/leaf-sums.js';
import { encodeDataHeader } from '../../../src/stream/stream-frames.js';
import { chance, noise, pick } from './chance.js';
import { wildBytes } from './nasty-values.js';
import type { ServerStream, SitePeer, SiteResult } from './site-peer.js';
import type { SiteScene, SiteStep } from './site-step.js';

const NO_LIMIT = 2 ** 50;
const CHUNK = 1_048_576;

export function openStream(peer: SitePeer, bytes: Uint8Array, header: unknown): void {
  const id = peer.nextStream++;
  peer.streams.set(id, { id, bytes, accepted: false, offset: 0, limit: 0, chunk: CHUNK, ended: false });
  peer.send('open', id, header);
}

/** The next bytes of a stream, or its end; false where the site has to grant more first. */
async function sendOn(peer: SitePeer, stream: ServerStream): Promise<boolean> {
  const { bytes, offset, limit, chunk } = stream;
  if (!stream.accepted || stream.ended) return false;
  if (offset >= bytes.length) {
    stream.ended = true;
    peer.send('end', stream.id, { totalBytes: bytes.length, digest: await digestOf(bytes) });
    return true;
  }
  const leaf = Math.floor(offset / LEAF_BYTES) * LEAF_BYTES;
  const end = Math.min(bytes.length, limit, offset + chunk, leaf + LEAF_BYTES);
  if (end <= offset) return false;
  const isLeafEnd = end === bytes.length || end === leaf + LEAF_BYTES;
  const sums = isLeafEnd ? [checksumOf(bytes.slice(leaf, end))] : [];
  stream.offset = end;
  peer.send('data', stream.id, encodeDataHeader(offset, sums), bytes.subarray(offset, end));
  return true;
}

/** Goes on with some stream as it should be; false where none can go on. */
export async function streamOn(peer: SitePeer): Promise<boolean> {
  for (const stream of peer.streams.values()) if (await sendOn(peer, stream)) return true;
  return false;
}

/** Takes a result as it should be; false where there is none. */
export function takeResult({ findings }: SiteScene, peer: SitePeer): boolean {
  const [result] = [...peer.results.values()].filter(({ accepted, ended }) => !accepted || ended);
  if (!result) return false;
  if (result.ended) {
    peer.results.delete(result.id);
    findings.count('took a result');
    peer.send('done', result.id);
  } else accept(peer, result);
  return true;
}

function accept(peer: SitePeer, result: SiteResult): void {
  result.accepted = true;
  peer.send('accept', result.id, { offset: 0, limit: NO_LIMIT, chunk: CHUNK });
}

/** Breaks a rule in the middle of a stream that the server sends. */
async function sendWrong({ random }: SiteScene, peer: SitePeer, stream: ServerStream): Promise<void> {
  const { id, bytes, offset } = stream;
  const rest = bytes.subarray(offset, Math.min(bytes.length, offset + 20_000));
  const sum = noise(random, 8).slice(0, 8);
  switch (random.integer(9)) {
    case 0: // a wrong checksum
      if (rest.length > 0) peer.send('data', id, encodeDataHeader(offset, [Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)]), rest);
      break;
    case 1: // from elsewhere
      peer.send('data', id, encodeDataHeader(pick(random, [offset + 1, 0, 2 ** 52]), []), rest);
      break;
    case 2: // more than was granted
      peer.send('data', id, encodeDataHeader(offset, []), new Uint8Array(3_000_000));
      break;
    case 3: // the end, too early
      stream.ended = true;
      peer.send('end', id, { totalBytes: pick(random, [bytes.length, offset, 0]), digest: 'f'.repeat(32) });
      break;
    case 4:
      peer.streams.delete(id);
      peer.send(
        'reset',
        id,
        chance(random, 0.6) ? { code: pick(random, ['io', 'internal', 'closed', 'limit']), message: 'broke' } : wildBytes({}, random),
      );
      break;
    case 5: // nothing, or no checksum at all
      peer.send('data', id, pick(random, [encodeDataHeader(offset, []), sum, new Uint8Array(0)]), new Uint8Array(0));
      break;
    case 6: // another digest than that of its bytes
      while (stream.offset < bytes.length && (await sendOn(peer, stream)));
      stream.ended = true;
      peer.send('end', id, { totalBytes: bytes.length, digest: '0'.repeat(32) });
      break;
    case 7: // bytes behind the end
      while (!stream.ended && (await sendOn(peer, stream)));
      peer.send('data', id, encodeDataHeader(bytes.length, []), new Uint8Array(10));
      break;
    default: // a second stream of the same number
      peer.send('open', id, { meta: { kind: 'retrieved', ask: 0 } });
  }
}

/** Answers to a result of the site that break a rule, or may. */
function answerWrong({ random }: SiteScene, peer: SitePeer, { id }: SiteResult): void {
  const header = {
    offset: pick(random, [0, 1, LEAF_BYTES, 2 ** 50]),
    limit: pick(random, [0, 1, 2 ** 53 - 1]),
    chunk: pick(random, [1, 16_384, CHUNK, 2 ** 40]),
  };
  switch (random.integer(6)) {
    case 0:
      peer.send('accept', id, chance(random, 0.6) ? header : wildBytes(header, random));
      break;
    case 1:
      peer.send('credit', id, chance(random, 0.5) ? { limit: header.limit, chunk: header.chunk } : wildBytes({}, random));
      break;
    case 2:
      for (let times = pick(random, [1, 3, 200]); times > 0; times--)
        peer.send('retry', id, { offset: pick(random, [0, 0, header.offset]) });
      return;
    case 3:
      peer.results.delete(id);
      peer.send('done', id, chance(random, 0.5) ? { early: { limit: header.limit, chunk: header.chunk } } : wildBytes({}, random));
      break;
    case 4:
      peer.results.delete(id);
      peer.send('refuse', id, { code: pick(random, ['refused', 'limit', 'internal', 'closed', 'digest']), message: 'not wanted' });
      break;
    default:
      peer.send(pick(random, ['data', 'end', 'reset'] as const), id, pack({}));
      break;
  }
}

export const siteStreamSteps: readonly SiteStep[] = [
  {
    name: 'a stream that breaks a rule',
    weight: 3,
    run: async (scene, peer) => {
      const live = [...peer.streams.values()].filter(({ ended }) => !ended);
      if (live.length > 0) await sendWrong(scene, peer, pick(scene.random, live));
    },
  },
  {
    name: 'a wrong answer to a result',
    weight: 3,
    run: (scene, peer) => {
      const results = [...peer.results.values()];
      if (results.length > 0) answerWrong(scene, peer, pick(scene.random, results));
    },
  },
  {
    name: 'a stream that nobody asked for',
    weight: 1,
    run: ({ random, world }, peer) => {
      const meta = pick(random, [
        { kind: 'retrieved', ask: 999 },
        { kind: 'result', figures: {} },
        null,
        'x',
        [1, { a: 1 }],
        { kind: 'retrieved', ask: 0 },
      ]);
      const bytes = pick(random, [...world.objects.bytes.values()]);
      const header = { meta, totalBytes: bytes.length };
      const early = chance(random, 0.3) ? { early: pick(random, [1, 1000, 2 ** 40]) } : {};
      const times = chance(random, 0.05) ? 2_000 : 1;
      for (let i = 0; i < times; i++) openStream(peer, bytes, chance(random, 0.7) ? { ...header, ...early } : wildBytes(header, random));
    },
  },
];
