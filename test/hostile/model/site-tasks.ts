// The jobs and tasks of a hostile server: good ones, and lies that keep to the schema.
import type { Random } from '../../../src/core/random.js';
import type { Task, TaskModel } from '../../../src/exchange/task.js';
import { chance, pick } from './chance.js';
import type { ServedModel, SiteObjects } from './site-objects.js';

export const ROUNDS = 3;

type Fields = Record<string, unknown>;

/** Changes of the job: some break a limit of the site's owner, some are no job, some are harmless. */
const JOB_CHANGES: readonly ((job: Fields) => Fields)[] = [
  (job) => ({ ...job, rounds: 20_000 }),
  (job) => ({ ...job, train: { ...(job.train as Fields), batchSize: 1, accumulate: 1 } }),
  (job) => ({ ...job, train: { ...(job.train as Fields), localSteps: 1, batchSize: 4 } }),
  (job) => ({ ...job, train: { ...(job.train as Fields), localSteps: 2 ** 40 } }),
  (job) => ({ ...job, quantize: { up: 'fp16', down: 'fp32' } }),
  (job) => ({ ...job, quantize: { up: 'no-such-codec', down: 'fp32' } }),
  (job) => ({ ...job, streaming: 'regular' }),
  (job) => ({ ...job, streaming: 'container' }),
  (job) => ({ ...job, filters: [{ name: 'no-such-filter' }] }),
  (job) => ({ ...job, trainer: { name: 'of-the-server' } }),
  (job) => ({ ...job, rounds: 0 }),
];

export function wrongJob(job: object, random: Random): object {
  return pick(random, JOB_CHANGES)(job as Fields);
}

function whole({ bytes }: SiteObjects, object: string): TaskModel['whole'] {
  return { object, bytes: bytes.get(object)?.length ?? 0 };
}

function updatesTo(objects: SiteObjects, last: number): NonNullable<TaskModel['updates']> {
  const { models, bytes } = objects;
  return models.slice(1, last + 1).map(({ update = '', digest }, i) => ({
    object: update,
    bytes: bytes.get(update)?.length ?? 0,
    from: (models[i] as ServedModel).digest,
    to: digest,
  }));
}

/** A model of a task, as an honest server describes it. */
function goodModel(objects: SiteObjects, random: Random): TaskModel {
  const { models } = objects;
  const last = random.integer(models.length);
  const model = models[last] as ServedModel;
  const plain = { whole: whole(objects, model.whole) };
  if (chance(random, 0.3)) return plain;
  const first = models[0] as ServedModel;
  return {
    ...plain,
    digest: model.digest,
    ...(chance(random, 0.8) && { start: { digest: first.digest, base: false, object: first.whole, bytes: plain.whole.bytes } }),
    updates: updatesTo(objects, last),
  };
}

export function goodTask(objects: SiteObjects, random: Random, id: string): Task {
  const kind = pick(random, ['train', 'train', 'train', 'evaluate', 'base', 'offer']);
  return {
    id,
    kind,
    round: kind === 'train' || kind === 'evaluate' ? pick(random, [1, 1, 1, 2, ROUNDS]) : 0,
    rounds: ROUNDS,
    ...(kind !== 'offer' && { model: goodModel(objects, random) }),
    ...(kind === 'train' && chance(random, 0.2) && { extras: { object: objects.extras, bytes: whole(objects, objects.extras).bytes } }),
    ...(kind === 'train' && chance(random, 0.2) && { figures: { mu: pick(random, [0.1, 1e-9, -5]) } }),
    evaluate: chance(random, 0.3),
  };
}

const NOBODYS = 'f'.repeat(32);
const NAMES = ['nobody-has-it', 'CON', 'a'.repeat(200), 'constructor', 'result.json', '0..0'];

type Lie = (task: Task, objects: SiteObjects, random: Random) => Task;

function withModel(task: Task, change: (model: TaskModel) => TaskModel): Task {
  return task.model ? { ...task, model: change(task.model) } : task;
}

function manyUpdates(objects: SiteObjects, random: Random): NonNullable<TaskModel['updates']> {
  const { models, bytes } = objects;
  return Array.from({ length: 256 }, () => {
    const object = random.integer(8) === 0 ? pick(random, objects.wrong) : ((models[1] as ServedModel).update ?? '');
    const from = pick(random, models).digest;
    return { object, bytes: pick(random, [0, bytes.get(object)?.length ?? 0, 2 ** 53 - 1]), from, to: pick(random, models).digest };
  });
}

/** What a task says of itself that is not so, or not allowed. */
const LIES: readonly Lie[] = [
  (task, _, random) => ({ ...task, round: pick(random, [0, ROUNDS + 1, 10_001, 2 ** 53 - 1]) }),
  (task, _, random) => ({ ...task, rounds: pick(random, [ROUNDS + 1, 1, 2 ** 53 - 1]) }),
  (task, _, random) => ({ ...task, kind: pick(random, ['constructor', 'tostring', 'shell', 'a-b']) }),
  (task) => withModel(task, (model) => ({ ...model, digest: NOBODYS, updates: [] })),
  (task) => withModel(task, (model) => ({ ...model, digest: NOBODYS })),
  // A digest that is another model's, for a whole model.
  (task, objects, random) =>
    withModel(task, ({ whole: own }) => ({
      whole: own,
      digest: pick(random, objects.models).digest,
      ...(chance(random, 0.5) && { updates: [] }),
    })),
  // One name for many models.
  (task, objects, random) =>
    withModel(task, () => ({
      whole: { object: 'changing', bytes: 10_000_000 },
      ...(chance(random, 0.5) && { digest: pick(random, objects.models).digest }),
    })),
  (task, objects, random) => withModel(task, () => ({ whole: { object: pick(random, objects.wrong), bytes: 10_000_000 } })),
  (task, objects, random) =>
    withModel(task, () => ({ whole: { object: pick(random, objects.wrong), bytes: 9_000_000 }, digest: NOBODYS, updates: [] })),
  (task, _, random) => withModel(task, () => ({ whole: { object: pick(random, NAMES), bytes: pick(random, [0, 1, 5000, 2 ** 53 - 1]) } })),
  (task) => withModel(task, (model) => ({ ...model, whole: { ...model.whole, bytes: 2 ** 53 - 1 } })),
  (task) => withModel(task, (model) => ({ ...model, whole: { ...model.whole, bytes: 100 } })),
  (task, objects, random) =>
    withModel(task, (model) => ({ ...model, digest: pick(random, objects.models).digest, updates: manyUpdates(objects, random) })),
  (task, objects, random) =>
    withModel(task, (model) => ({
      ...model,
      start: {
        digest: pick(random, [NOBODYS, pick(random, objects.models).digest]),
        base: chance(random, 0.5),
        object: pick(random, [...objects.wrong, 'whole-0']),
        bytes: 5_000,
      },
    })),
  (task, objects, random) => ({ ...task, extras: { object: pick(random, [...objects.wrong, 'whole-0']), bytes: 10_000_000 } }),
  (task, _, random) => ({ ...task, figures: pick<Record<string, number>>(random, [{}, { y: 1 }, { 'a b': 1 }, { x: 1e300 }]) }),
  ({ model: _, ...task }) => task,
  (task, objects, random) => ({ ...task, model: goodModel(objects, random), evaluate: true }),
];

export function lyingTask(objects: SiteObjects, random: Random, id: string): Task {
  let task = goodTask(objects, random, id);
  const lies = 1 + random.integer(2);
  for (let i = 0; i < lies; i++) task = pick(random, LIES)(task, objects, random);
  return task;
}

/** One round again and again, with other models and other figures each time. */
export function fishingTask(random: Random, id: string): Task {
  const model = { whole: { object: 'changing', bytes: 10_000 } };
  return { id, kind: 'train', round: 1, rounds: ROUNDS, model, figures: { mu: random.integer(3) }, evaluate: false };
}
