// Answers of a hostile server to the requests of a site: right, false, ill-formed, twice, or none.
import { ERROR_CODES } from '../../../src/core/errors.js';
import { type Task, taskSchema } from '../../../src/exchange/task.js';
import { pack } from '../../../src/frame/pack.js';
import { chance, pick } from './chance.js';
import { wildBytes } from './nasty-values.js';
import type { SitePeer, SiteRequest } from './site-peer.js';
import type { SiteScene, SiteStep } from './site-step.js';
import { openStream } from './site-streams.js';
import { fishingTask, goodTask, lyingTask, wrongJob } from './site-tasks.js';

/** How wrong an answer is. */
type Manner = 'good' | 'lying' | 'wild';

function mannerOf({ random, world }: SiteScene, good: number): Manner {
  if (chance(random, good)) return 'good';
  return world.lies && chance(random, 0.7) ? 'lying' : 'wild';
}

function take(peer: SitePeer, request: SiteRequest): void {
  const at = peer.asked.indexOf(request);
  if (at >= 0) peer.asked.splice(at, 1);
  peer.answeredIds.push(request.id);
  if (peer.answeredIds.length > 16) peer.answeredIds.shift();
}

function replyError({ random, findings }: SiteScene, peer: SitePeer, { id, name }: SiteRequest): void {
  findings.count(`${name}: an error`);
  peer.send('reply', id, { code: pick(random, ERROR_CODES), message: pick(random, ['', 'no', 'x'.repeat(5000)]) });
}

/** Answers a request of any kind. */
export function answer(scene: SiteScene, peer: SitePeer, request: SiteRequest, good: number): void {
  const { random, findings } = scene;
  take(peer, request);
  // Most of what a hostile server wants is in its tasks.
  const manner = mannerOf(scene, request.name === 'next' && scene.world.lies ? good / 2 : good);
  findings.count(`${request.name}: ${manner}`);
  // Figures that have come are kept; the task is to fail, and then to be done for another model.
  const isFishing = scene.world.lies && request.name === 'progress' && chance(random, 0.3);
  if (isFishing || (manner === 'wild' && chance(random, 0.3))) {
    replyError(scene, peer, request);
    return;
  }
  if (request.name === 'join') {
    answerJoin(scene, peer, request, manner);
    return;
  }
  if (request.name === 'next') {
    answerNext(scene, peer, request, manner);
    return;
  }
  if (request.name === 'retrieve') {
    answerRetrieve(scene, peer, request, manner);
    return;
  }
  peer.send('reply', request.id, {}, manner === 'good' ? pack({}) : wildBytes({}, random));
}

function answerJoin({ world, random }: SiteScene, peer: SitePeer, { id }: SiteRequest, manner: Manner): void {
  const right = { run: world.run, job: world.job, files: chance(random, 0.3) ? ['config.json'] : [] };
  if (manner === 'good') {
    peer.send('reply', id, {}, pack(right));
    return;
  }
  const lie = chance(random, 0.7)
    ? { ...right, job: wrongJob(right.job, random) }
    : { ...right, run: 'run-2', files: ['tokenizer.json', 'nobody', '../x'] };
  peer.send('reply', id, {}, manner === 'lying' ? pack(lie) : wildBytes(pick(random, [right, lie]), random));
}

function answerNext(scene: SiteScene, peer: SitePeer, { id }: SiteRequest, manner: Manner): void {
  const { world, random } = scene;
  if (manner !== 'good' && chance(random, 0.04)) {
    peer.send('reply', id, {}, pack({ stop: 'enough' }));
    return;
  }
  const again = world.lastTask && chance(random, 0.1) ? { ...world.lastTask } : undefined;
  const name = `t-${world.nextTask++}`;
  const task = again ?? (manner === 'good' ? goodTask(world.objects, random, name) : lyingTask(world.objects, random, name));
  if (manner === 'lying' && chance(random, 0.4)) {
    const fishing = fishingTask(random, name);
    giveTask(scene, peer, id, fishing, pack({ task: fishing }));
    return;
  }
  if (manner !== 'wild') {
    giveTask(scene, peer, id, task, pack({ task }));
    return;
  }
  giveTask(scene, peer, id, undefined, wildBytes({ task }, random));
}

/** Sends bytes as a task, and notes which task the site makes of them. */
function giveTask({ world, findings }: SiteScene, peer: SitePeer, id: number, task: Task | undefined, body: Uint8Array): void {
  world.given = task && taskSchema.safeParse(task).success ? task : (world.parsedTask(body) ?? world.given);
  world.lastTask = world.given;
  if (world.given) findings.count(`task ${world.given.kind}`);
  peer.send('reply', id, {}, body);
}

function answerRetrieve(scene: SiteScene, peer: SitePeer, { id, body }: SiteRequest, manner: Manner): void {
  const { random, world } = scene;
  const { name, ask, kind } = body as { name: string; ask: number; kind: string };
  const bytes = world.bytesOf(name, kind, random);
  if (manner === 'good' && bytes) {
    peer.send('reply', id, {}, pack({}));
    openStream(peer, bytes, {
      meta: { kind: 'retrieved', ask },
      totalBytes: bytes.length,
      ...(chance(random, 0.5) && { id: `${name}-1` }),
    });
    return;
  }
  if (!bytes && chance(random, 0.6)) {
    peer.send('reply', id, { code: 'not-found', message: `nothing is called ${name}` });
    return;
  }
  const other = world.lies ? pick(random, [...world.objects.bytes.values()]) : (bytes ?? new Uint8Array(9));
  peer.send('reply', id, {}, manner === 'lying' ? pack({}) : wildBytes({}, random));
  const open = {
    meta: { kind: 'retrieved', ask: pick(random, [ask, ask, ask, ask + 1, world.lies ? 0 : ask]) },
    totalBytes: pick(random, [other.length, other.length, other.length + 1, 0, 2 ** 53 - 1]),
    ...(chance(random, 0.3) && { id: pick(random, [`${name}-1`, 'x', '../x']) }),
    ...(chance(random, 0.2) && { digest: pick(random, ['0'.repeat(32), 'f'.repeat(32)]) }),
  };
  if (chance(random, 0.3)) {
    const { totalBytes: _, ...unsized } = open;
    openStream(peer, other, unsized);
  } else openStream(peer, other, manner === 'lying' ? open : wildBytes(open, random));
}

export const answerSteps: readonly SiteStep[] = [
  {
    name: 'an answer out of turn',
    weight: 2,
    run: (scene, peer) => {
      if (peer.asked.length > 0) answer(scene, peer, pick(scene.random, peer.asked), 0.3);
    },
  },
  {
    name: 'an answer once more',
    weight: 0.7,
    run: ({ random }, peer) => {
      if (peer.answeredIds.length > 0) peer.send('reply', pick(random, peer.answeredIds), {}, wildBytes({ stop: 'no' }, random));
    },
  },
  {
    name: 'an answer to nothing',
    weight: 0.5,
    run: ({ random }, peer) => peer.send('reply', pick(random, [0, 77, 2 ** 32 - 1]), {}, pack({ stop: 'no' })),
  },
  {
    name: 'a reply with a wild header',
    weight: 0.5,
    run: ({ random }, peer) => {
      const [request] = peer.asked;
      if (request) peer.send('reply', request.id, wildBytes({ code: 'refused', message: 'no' }, random), pack({}));
    },
  },
];
