// Steps in the right direction: an insider that does its task, so that the deep states of a
// server are reached.
import { pack } from '../../../src/frame/pack.js';
import { chance } from './chance.js';
import { objectsOf } from './choose-task.js';
import type { Insider } from './insider.js';
import { takeOn } from './object-streams.js';
import { ask, figuresFor, REQUESTS } from './requests.js';
import { goOn, openGood } from './result-streams.js';
import type { ResultObject } from './results.js';
import type { Scene, Step } from './step.js';

function request(name: string) {
  return REQUESTS.find((one) => one.name === name) as (typeof REQUESTS)[number];
}

function work(scene: Scene, insider: Insider): void {
  const { world, random, objects } = scene;
  const lawful = [...insider.opened.values()].filter((stream) => stream.lawful && stream.state !== 'over');
  const [stream] = lawful;
  if (stream?.state === 'accepted') {
    const isWhole = stream.offset >= stream.object.bytes.length;
    // Gone between the last byte and its confirmation: the next session resumes at the end.
    if (isWhole && chance(random, 0.1)) void insider.close();
    else goOn(scene, insider, stream);
    return;
  }
  if (stream) return;
  const posted = world.watch.open(insider.site);
  if (posted?.task.kind === 'train' || posted?.task.kind === 'offer') openGood(scene, insider, posted, objects[0] as ResultObject);
  else if (posted) ask(scene, insider, request('evaluated'), pack(figuresFor(scene, posted.task.id)), true);
  else if (![...insider.asked.values()].some((all) => all.some(({ name }) => name === 'next')))
    ask(scene, insider, request('next'), pack({}), true);
}

function fetch(scene: Scene, insider: Insider): void {
  const [stream] = [...insider.offered.values()].filter(({ state }) => state !== 'over');
  if (stream) {
    takeOn(scene, insider, stream);
    return;
  }
  const posted = scene.world.watch.open(insider.site);
  const [name] = posted ? objectsOf(posted) : [];
  if (name !== undefined) ask(scene, insider, request('retrieve'), pack({ kind: 'model', name, ask: 1 }), true);
}

export const workSteps: readonly Step[] = [
  { name: 'work', weight: 20, run: work },
  { name: 'fetching', weight: 5, run: fetch },
];
