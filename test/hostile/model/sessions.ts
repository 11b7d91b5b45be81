// Steps of sessions: hello in every form, heartbeats, bye, silence, and leaving without a word.
import { FedStreamError } from '../../../src/core/errors.js';
import { encodeFrame, FRAME_TYPES, type FrameType } from '../../../src/frame/frame.js';
import { encodeHello } from '../../../src/frame/hello.js';
import { pack } from '../../../src/frame/pack.js';
import { NONCE_BYTES } from '../../../src/frame/proof.js';
import { chance, noise, pick } from './chance.js';
import { Insider } from './insider.js';
import { wildBytes } from './nasty-values.js';
import type { Scene, Step } from './step.js';
import { HONEST } from './world.js';

function goodHello(site: string, { random }: Scene) {
  return {
    versions: { oldest: 1, newest: pick(random, [1, 1, 7]) },
    name: site,
    idleMs: pick(random, [150, 2000, 2000, 60_000, 86_400_000]),
    features: pick(random, [[], ['run', 'retrieve'], ['something-new']]),
    run: pick(random, [undefined, 'run']),
  };
}

/** Connects; undefined where nobody listens any more. */
async function connect(scene: Scene): Promise<Insider | undefined> {
  try {
    const insider = new Insider(pick(scene.random, scene.sites), await scene.world.connect(), scene.world, scene.findings);
    scene.insiders.push(insider);
    return insider;
  } catch {
    return undefined;
  }
}

/** Says a good hello, and proves the site's name; an older session of the site then ends. */
async function sayHello(scene: Scene, insider: Insider): Promise<void> {
  for (const other of scene.insiders)
    if (other !== insider && other.site === insider.site && other.admitted) other.mustEnd = 'a newer session of its site';
  await insider.hello(encodeHello({ ...goodHello(insider.site, scene), nonce: nonce(scene) }));
  insider.admitted = true;
}

/** What the proof of a token is bound to; undefined in a world without tokens. */
function nonce({ world, random }: Scene): Uint8Array | undefined {
  return world.tokens ? Uint8Array.from({ length: NONCE_BYTES }, () => random.integer(256)) : undefined;
}

/** A beginning that no server may take. */
async function badBeginning(scene: Scene, insider: Insider): Promise<void> {
  const { random } = scene;
  const hello = goodHello(insider.site, scene);
  const { versions, ...rest } = hello;
  const wire = { version: 1, newest: 1, ...rest };
  insider.mayEnd.add('no good hello');
  switch (random.integer(7)) {
    case 0:
      insider.send('hello', 0, { ...wire, version: 7, newest: 9 });
      break;
    case 1:
      insider.send('hello', 0, { ...wire, name: pick(random, ['nobody', '__proto__', '', '../x', 'x'.repeat(65)]) });
      break;
    case 2:
      insider.send('hello', 0, { ...wire, run: 'another' });
      break;
    case 3:
      insider.send(pick(random, Object.keys(FRAME_TYPES) as FrameType[]), 0, wildBytes({}, random));
      break;
    case 4:
      insider.sendRaw([Uint8Array.of(1, ...noise(random, 100))]);
      break;
    case 5:
      // The insider's own credentials, and the name of an honest site.
      if (scene.world.tokens) await insider.hello(encodeHello({ ...hello, name: HONEST[0], nonce: nonce(scene) }));
      break;
    default:
      return; // nothing is said at all
  }
}

/** Changes that may or may not leave the hello good. */
function wildHello(scene: Scene, insider: Insider): void {
  const { versions: _, ...rest } = goodHello(insider.site, scene);
  admitsPerhaps(scene, insider);
  insider.send('hello', 0, wildBytes({ version: 1, newest: 1, ...rest }, scene.random));
}

/** Whatever becomes of this connection, and of others of its site, is right. */
function admitsPerhaps({ insiders }: Scene, insider: Insider): void {
  insider.mayEnd.add('a hello that may not be good');
  for (const other of insiders) if (other !== insider) other.mayEnd.add('a newer session of its site');
}

const MOST_CONNECTIONS = 6;

/** Steps for a new connection. */
export const beginSteps: readonly Step[] = [
  {
    name: 'a connection',
    weight: 1,
    run: async (scene) => {
      if (scene.insiders.length >= MOST_CONNECTIONS) return;
      const insider = await connect(scene);
      if (!insider) return;
      const what = scene.random.uniform();
      if (what < 0.8) await sayHello(scene, insider);
      else if (what < 0.9) await badBeginning(scene, insider);
      else wildHello(scene, insider);
    },
  },
];

export const sessionSteps: readonly Step[] = [
  {
    name: 'a ping',
    weight: 2,
    run: (_, insider) => {
      insider.pings++;
      insider.send('ping', 0);
    },
  },
  { name: 'a pong', weight: 2, run: (_, insider) => insider.send('pong', 0) },
  {
    name: 'a proof that nobody asked for',
    weight: 0.1,
    run: ({ random }, insider) => {
      insider.send('proof', 0, { proof: noise(random, 40) });
      insider.mustEnd = 'a proof that nobody asked for';
    },
  },
  {
    name: 'a second hello',
    weight: 0.3,
    run: (scene, insider) => {
      insider.send('hello', 0, encodeHello(goodHello(insider.site, scene)));
      if (insider.admitted) insider.mustEnd = 'a second hello';
      else admitsPerhaps(scene, insider);
    },
  },
  {
    name: 'a bye',
    weight: 0.5,
    run: ({ random }, insider) => {
      insider.mayEnd.add('its own bye');
      if (chance(random, 0.5)) insider.send('bye', 0, { code: 'aborted', message: 'enough' });
      else insider.send('bye', 0, wildBytes({ code: 'aborted', message: 'enough' }, random));
    },
  },
  {
    name: 'bytes that are no frame',
    weight: 0.3,
    run: ({ random }, insider) => {
      insider.sendRaw([Uint8Array.of(random.integer(200), ...noise(random, 200))]);
      insider.mustEnd = 'bytes that are no frame';
    },
  },
  {
    name: 'a frame that is damaged',
    weight: 0.4,
    run: ({ random }, insider) => {
      const [front, ...payload] = encodeFrame('request', 5, pack({ name: 'join' }), pack({})) as [Uint8Array, Uint8Array];
      const bytes = Uint8Array.of(...front, ...(payload[0] as Uint8Array));
      if (chance(random, 0.5)) insider.sendRaw([bytes.subarray(0, 1 + random.integer(bytes.length - 1))]);
      else {
        const at = random.integer(bytes.length);
        bytes[at] = (bytes[at] as number) ^ (1 << random.integer(8));
        insider.sendRaw([bytes]);
      }
      insider.mustEnd = 'a damaged frame';
    },
  },
  {
    name: 'a type that there is none of',
    weight: 0.2,
    run: ({ random }, insider) => {
      const [front] = encodeFrame('ping', 0) as [Uint8Array];
      front[4] = pick(random, [0, 16, 77, 255]);
      insider.sendRaw([front]);
      insider.mustEnd = 'an unknown type';
    },
  },
  {
    name: 'leaving',
    weight: 1,
    run: ({ random }, insider) => insider.close(chance(random, 0.5) ? new FedStreamError('aborted', 'gone') : undefined),
  },
  {
    name: 'reading no more',
    weight: 0.6,
    run: (_, insider) => {
      insider.reading = false;
    },
  },
  { name: 'time', weight: 0.5, run: ({ random, pass }) => pass(pick(random, [20, 200, 1000, 4000])) },
];
