// Ids of tasks and names of objects as an insider knows or guesses them: its own, of now and of
// before, and those of others.
import type { Posted } from './board-watch.js';
import { chance, pick } from './chance.js';
import type { Insider } from './insider.js';
import type { Scene } from './step.js';

const STRANGE = ['', 'train-1-nobody', '__proto__', '../journal', 'x'.repeat(128), 'x'.repeat(300), '\u202etrain', 'constructor'];

export function someTask({ world, random }: Scene, { site }: Insider): Posted | undefined {
  const { watch } = world;
  const current = watch.open(site);
  if (current && chance(random, 0.6)) return current;
  return watch.all.length > 0 && chance(random, 0.8) ? watch.all[Math.max(0, watch.all.length - 1 - random.integer(40))] : undefined;
}

export function someTaskId(scene: Scene, insider: Insider): string {
  return someTask(scene, insider)?.task.id ?? pick(scene.random, STRANGE);
}

/** Names of the objects of a task. */
export function objectsOf({ task: { model, extras } }: Posted): string[] {
  const updates = model?.updates ?? [];
  const all = [model?.whole.object, model?.start?.object, extras?.object, ...updates.map(({ object }) => object)];
  return all.filter((name) => name !== undefined);
}

export function someObject(scene: Scene, insider: Insider): string {
  const posted = someTask(scene, insider);
  const names = posted ? objectsOf(posted) : [];
  return names.length > 0 && chance(scene.random, 0.8) ? pick(scene.random, names) : pick(scene.random, STRANGE);
}
