// The task `swarm-keep`: an aggregator hands its state over to the one of the next round.
import { FedStreamError } from '../core/errors.js';
import { keepTextsSchema, swarmTexts } from '../exchange/swarm.js';
import type { TaskHandler } from '../site/task-handler.js';
import { figuresOf } from '../site/task-handlers.js';
import { MODEL_NAME } from '../tensor/extra-names.js';
import { Role } from './role.js';

/** The folder of a run's swarm at a site. */
export const SWARM_FOLDER = 'swarm';

/** Keeps the aggregator's own model, and what its aggregator keeps beside it, uncoded. */
export const keepState: TaskHandler = async (task, place) => {
  const { label } = swarmTexts(task.texts, keepTextsSchema, `the task ${task.id}`);
  if (!task.model) throw new FedStreamError('bad-frame', `the task ${task.id} names no model`);
  const { object, bytes } = task.model.whole;
  const current = await place.finding().held.current();
  const { bounds } = place.finding();
  if (current) bounds.note(current.model.manifest);
  await current?.model.close?.();
  const received = await place.link.fetchModel(object, [object], bounds.whole(bytes));
  try {
    const given = await place.extras(task);
    try {
      await new Role(place.folder.folder(SWARM_FOLDER)).keep(label, { [MODEL_NAME]: received.model, ...given.extras });
    } finally {
      await given.release();
    }
  } finally {
    await received.release();
  }
  await place.answer(task, figuresOf(task), undefined, 'the state of the aggregator is here');
};
