// Steps of streams that the server opens: an insider takes an object as it should, and in every
// other way.
import { pack, unpack } from '../../../src/frame/pack.js';
import { LEAF_BYTES } from '../../../src/stream/leaf-sums.js';
import { acceptSchema, creditSchema } from '../../../src/stream/stream-frames.js';
import { chance, pick } from './chance.js';
import type { Insider } from './insider.js';
import { wildBytes } from './nasty-values.js';
import type { OfferedStream } from './opened-stream.js';
import type { Scene, Step } from './step.js';

const CHUNKS = [16_384, 65_536, 1_048_576, 4_194_304];

function someOffered({ random }: Scene, { offered }: Insider): OfferedStream | undefined {
  const live = [...offered.values()].filter(({ state }) => state !== 'over');
  return live.length > 0 ? pick(random, live) : undefined;
}

/** Takes the stream on as it should be. */
export function takeOn(scene: Scene, insider: Insider, stream: OfferedStream): void {
  const { random } = scene;
  const chunk = pick(random, CHUNKS);
  const total = stream.totalBytes ?? 1e6;
  if (stream.state === 'opened') {
    const limit = chance(random, 0.7) ? total : Math.min(total, chunk);
    accept(insider, stream, { offset: 0, limit, chunk });
  } else if (!stream.ended) {
    stream.limit = Math.max(stream.limit, total);
    insider.send('credit', stream.id, { limit: total, chunk });
  } else {
    stream.state = 'over';
    scene.findings.count(stream.round < scene.world.round ? 'taken whole in a later round' : 'taken whole');
    const early = chance(random, 0.5) ? { early: { limit: pick(random, [16_384, 1e6, 2 ** 50]), chunk } } : undefined;
    insider.send('done', stream.id, early);
  }
}

function accept(insider: Insider, stream: OfferedStream, header: { offset: number; limit: number; chunk: number }): void {
  stream.state = 'accepted';
  stream.start = header.offset;
  stream.offset = header.offset;
  stream.limit = Math.max(stream.limit, header.limit);
  insider.send('accept', stream.id, header);
}

/** Answers that break the rules of a stream, or may. */
function answerWrong(scene: Scene, insider: Insider, stream: OfferedStream): void {
  const { random } = scene;
  const total = stream.totalBytes ?? 1000;
  insider.mayEnd.add('a wrong answer to a stream');
  const header = {
    offset: pick(random, [0, LEAF_BYTES, total, total + 1, 2 ** 50]),
    limit: pick(random, [0, 1, total, 2 ** 53 - 1]),
    chunk: pick(random, CHUNKS),
  };
  switch (random.integer(5)) {
    case 0:
      // Resumes, or is accepted a second time, or from where nothing is.
      stream.limit = Number.MAX_SAFE_INTEGER;
      accept(insider, stream, header);
      break;
    case 1:
      sendWild(scene, insider, stream, 'accept', header);
      break;
    case 2:
      sendWild(scene, insider, stream, 'credit', { limit: total, chunk: 16_384 });
      break;
    case 3:
      stream.state = 'over';
      insider.send('done', stream.id, wildBytes({ early: { limit: 1, chunk: 16_384 } }, random));
      break;
    default:
      insider.send('retry', stream.id, chance(random, 0.5) ? { offset: header.offset } : wildBytes({ offset: 0 }, random));
      break;
  }
}

function sendWild({ random }: Scene, insider: Insider, stream: OfferedStream, type: 'accept' | 'credit', header: object): void {
  const bytes = wildBytes(header, random);
  try {
    const { limit } = unpack(bytes, type === 'accept' ? acceptSchema : creditSchema, 'a header');
    stream.limit = Math.max(stream.limit, limit);
    if (type === 'accept' && stream.state === 'opened') stream.state = 'accepted';
    stream.pieces.length = 0;
    stream.start = -1; // nothing is compared any more
  } catch {
    // The session ends.
  }
  insider.send(type, stream.id, bytes);
}

export const objectSteps: readonly Step[] = [
  {
    name: 'a good answer to a stream',
    weight: 8,
    run: (scene, insider) => {
      const stream = someOffered(scene, insider);
      if (stream) takeOn(scene, insider, stream);
    },
  },
  {
    name: 'a wrong answer to a stream',
    weight: 1,
    run: (scene, insider) => {
      const stream = someOffered(scene, insider);
      if (stream) answerWrong(scene, insider, stream);
    },
  },
  {
    name: 'all bytes again and again',
    weight: 0.2,
    run: (scene, insider) => {
      const stream = someOffered(scene, insider);
      if (!stream?.ended || stream.state !== 'accepted' || stream.start !== 0) return;
      stream.ended = false;
      insider.mayEnd.add('many retries');
      const times = chance(scene.random, 0.05) ? 1100 : 1 + scene.random.integer(5);
      for (let i = 0; i < times; i++) insider.send('retry', stream.id, { offset: 0 });
    },
  },
  {
    name: 'a refusal of a stream',
    weight: 1,
    run: (scene, insider) => {
      const stream = someOffered(scene, insider);
      if (!stream) return;
      stream.state = 'over';
      const good = { code: 'refused', message: 'not wanted' };
      if (chance(scene.random, 0.7)) return insider.send('refuse', stream.id, pack(good));
      insider.mayEnd.add('a wild refusal');
      insider.send('refuse', stream.id, wildBytes(good, scene.random));
    },
  },
];
