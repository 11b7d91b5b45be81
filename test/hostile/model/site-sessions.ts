// What a hostile server does to a session of its site: hello in every form, frames that belong to
// nothing, goodbyes, silence, and an end at any time.
import { ERROR_CODES } from '../../../src/core/errors.js';
import { FRAME_TYPES, type FrameType } from '../../../src/frame/frame.js';
import { encodeHello, FEATURES } from '../../../src/frame/hello.js';
import { pack } from '../../../src/frame/pack.js';
import { PROTOCOL_VERSIONS } from '../../../src/frame/versions.js';
import { chance, noise, pick } from './chance.js';
import { wildBytes } from './nasty-values.js';
import type { SitePeer } from './site-peer.js';
import type { SiteScene, SiteStep } from './site-step.js';

const TYPES = Object.keys(FRAME_TYPES) as FrameType[];
const REQUESTS = ['join', 'next', 'retrieve', 'file', 'object', '__proto__', 'shell'];

/** Begins a session, mostly as it should be begun. */
export function greet({ random, world }: SiteScene, peer: SitePeer): void {
  const hello = { versions: PROTOCOL_VERSIONS, name: 'server', idleMs: world.idleMs, features: FEATURES };
  peer.greeted = true;
  if (chance(random, 0.85)) {
    peer.send('hello', 0, encodeHello(hello));
    return;
  }
  switch (random.integer(6)) {
    case 0:
      peer.send('hello', 0, encodeHello({ ...hello, features: [] }));
      break;
    case 1:
      peer.send('hello', 0, encodeHello({ ...hello, versions: { oldest: 90, newest: 99 } }));
      break;
    case 2:
      peer.send('hello', 0, wildBytes({ version: 1, name: 'server', idleMs: 1000, features: [...FEATURES] }, random));
      break;
    case 3:
      peer.send(pick(random, TYPES), 0, pack({}));
      break;
    case 4:
      peer.sendRaw([noise(random, 200)]);
      break;
    default:
      peer.send('hello', 0, encodeHello(hello), noise(random, 100));
      break;
  }
}

export const siteSessionSteps: readonly SiteStep[] = [
  {
    name: 'a frame of any type',
    weight: 1.5,
    run: ({ random }, peer) => {
      const stream = pick(random, [0, 1, 2, 3, 50, 2 ** 32 - 1]);
      peer.send(
        pick(random, TYPES),
        stream,
        pick(random, [noise(random, 60), wildBytes({ offset: 0, limit: 1 }, random)]),
        noise(random, 200),
      );
    },
  },
  { name: 'no frame', weight: 0.5, run: ({ random }, peer) => peer.sendRaw([noise(random, 300)]) },
  {
    name: 'a request to the site',
    weight: 1.5,
    run: ({ random }, peer) => {
      const times = chance(random, 0.05) ? 300 : 1;
      for (let i = 0; i < times; i++) {
        const header = chance(random, 0.8) ? pack({ name: pick(random, REQUESTS) }) : wildBytes({ name: 'x' }, random);
        peer.send(
          'request',
          random.integer(100),
          header,
          pick(random, [pack({ kind: 'file', name: '/etc/passwd', ask: 1 }), wildBytes({}, random)]),
        );
      }
    },
  },
  {
    name: 'pings and pongs',
    weight: 0.5,
    run: ({ random }, peer) => {
      const type = pick(random, ['ping', 'pong'] as const);
      for (let times = pick(random, [1, 100]); times > 0; times--) peer.send(type, random.integer(3));
    },
  },
  {
    name: 'a goodbye',
    weight: 0.7,
    run: ({ random }, peer) => {
      const header = { code: pick(random, ERROR_CODES), message: pick(random, ['', 'go away', 'x'.repeat(4000)]) };
      peer.send('bye', 0, pick(random, [pack({ message: 'done' }), pack(header), pack(header), wildBytes(header, random)]));
    },
  },
  {
    name: 'a broken connection',
    weight: 1,
    run: ({ random }, peer) => peer.close(chance(random, 0.5) ? new Error('reset') : undefined),
  },
  { name: 'silence', weight: 0.3, run: ({ random, pass }) => pass(pick(random, [100, 2_500, 40_000])) },
  {
    name: 'nobody listens',
    weight: 0.15,
    run: async ({ random, world, pass }) => {
      await world.deafen();
      pass(pick(random, [300, 3_000, 12_000]));
    },
  },
];
