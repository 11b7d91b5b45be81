// The tasks of a swarm at a site: getting ready, being the aggregator, taking part at another one,
// and putting the last model down.
import { FedStreamError } from '../core/errors.js';
import {
  finishTextsSchema,
  joinTextsSchema,
  prepareTextsSchema,
  readyTextsSchema,
  SWARM,
  serveTextsSchema,
  swarmTexts,
} from '../exchange/swarm.js';
import type { ResultFigures, Task } from '../exchange/task.js';
import { broadcastsUpdates } from '../filter/chain.js';
import { tokenVerifier } from '../frame/token.js';
import type { Job } from '../job/job.js';
import { parseJob } from '../kit/kit.js';
import { checkTask } from '../site/job-limits.js';
import type { StepReports } from '../site/step-reports.js';
import type { TaskHandler, TaskHandlers } from '../site/task-handler.js';
import { figuresOf } from '../site/task-handlers.js';
import type { Workplace } from '../site/workplace.js';
import { SWARM_FIGURE } from '../workflow/swarm-outcomes.js';
import { checkAllowed } from './allowed.js';
import { beginning } from './beginning.js';
import { SWARM_FOLDER } from './keep-state.js';
import type { SwarmListening, SwarmOptions } from './options.js';
import { Part } from './part.js';
import { Role, roundOf } from './role.js';
import { serve } from './serve.js';
import { takePart } from './take-part.js';

/** Between two words that a site is at work while it waits for others. */
const ALIVE_MS = 1_000;

/** The handlers of a swarm's tasks, for `tasks` of a site. */
export function swarmTasks(options: SwarmOptions): TaskHandlers {
  return {
    [SWARM.ready]: alive((task, place) => ready(task, place, options)),
    [SWARM.prepare]: alive((task, place) => prepare(task, place, options)),
    [SWARM.serve]: alive((task, place, reports) => asAggregator(task, place, reports, options)),
    [SWARM.join]: alive((task, place, reports) => join(task, place, reports, options)),
    [SWARM.finish]: alive((task, place) => finish(task, place, options)),
  };
}

/** A handler that says all the time that it is at work: most of it is waiting, for as long as a round takes. */
function alive(handler: TaskHandler): TaskHandler {
  return async (task, place, reports) => {
    const beat = setInterval(reports.onProgress, ALIVE_MS);
    try {
      await handler(task, place, reports);
    } finally {
      clearInterval(beat);
    }
  };
}

async function ready(task: Task, place: Workplace, { listen }: SwarmOptions): Promise<void> {
  const { label, committed } = textsOf(task, readyTextsSchema);
  checkRound(task, label, place);
  const role = roleOf(place);
  await role.prune(committed);
  const part = await Part.of(label, place.site, swarmFolder(place));
  const texts: Record<string, string> = {
    verifier: JSON.stringify(await tokenVerifier(part.token)),
    held: (await heldDigest(place)) ?? '',
    state: committed !== '' && (await role.has(committed)) ? 'yes' : 'no',
  };
  if (listen) texts.address = listen.address ?? listen.url;
  if (listen?.certificate !== undefined) texts.certificate = listen.certificate;
  await place.answer(task, { ...figuresOf(task), texts }, undefined, 'this site is ready');
}

async function prepare(task: Task, place: Workplace, options: SwarmOptions): Promise<void> {
  const { label, from, held } = textsOf(task, prepareTextsSchema);
  checkRound(task, label, place);
  listening(options);
  const { job, run, codecs } = place;
  await roleOf(place).prepare(
    { label, from, held },
    {
      run,
      codecs,
      held: place.finding().held,
      updates: broadcastsUpdates(job, codecs),
      beginning: () => beginning(place, options),
    },
  );
  await place.answer(task, figuresOf(task), undefined, 'this site has the state of the aggregator');
}

async function asAggregator(task: Task, place: Workplace, reports: StepReports, options: SwarmOptions): Promise<void> {
  const { label, verifiers, next, job: given } = textsOf(task, serveTextsSchema);
  checkRound(task, label, place);
  const listen = listening(options);
  const role = roleOf(place);
  if ((await role.serving()) !== label) throw new FedStreamError('refused', `this site was not asked to prepare for ${label}`);
  const part = await Part.of(label, place.site, swarmFolder(place));
  const job = jobOf(given, task, place, options);
  const serving = { label, round: task.round, job, verifiers, next: next === '' ? undefined : next };
  const moved = await serve(serving, listen, role, place, options, (driver, url) =>
    takePart(part, { site: place.site, driver, url }, place, reports, options),
  );
  await answer(task, place, part, reports, { ...moved });
}

async function join(task: Task, place: Workplace, reports: StepReports, options: SwarmOptions): Promise<void> {
  const { label, aggregator, address, certificate } = textsOf(task, joinTextsSchema);
  checkRound(task, label, place);
  checkAllowed(address, aggregator, options.allow);
  const part = await Part.of(label, place.site, swarmFolder(place));
  const driver = options.driverFor(certificate);
  await takePart(part, { site: aggregator, driver, url: address }, place, reports, options);
  await answer(task, place, part, reports, {});
}

async function finish(task: Task, place: Workplace, { onModel }: SwarmOptions): Promise<void> {
  const { held } = textsOf(task, finishTextsSchema);
  checkTask(task, place.job);
  const current = await place.finding().held.current();
  try {
    if (current?.digest !== held) throw new FedStreamError('not-found', 'this site does not hold the last model');
    await onModel?.(current.model, place);
    await roleOf(place).clear();
  } finally {
    await current?.model.close?.();
  }
  await place.answer(task, { ...figuresOf(task), texts: { held } }, undefined, 'this site has the last model');
}

/** Tells the coordinator the digest of what is held, and the figures that went to the aggregator. */
async function answer(
  task: Task,
  place: Workplace,
  part: Part,
  reports: StepReports,
  moved: Readonly<Record<string, number>>,
): Promise<void> {
  const held = await heldDigest(place);
  if (held === undefined) throw new FedStreamError('not-found', 'this site holds no model after the round');
  await reports.flush();
  const { trained, evaluated } = part;
  const { loss, samples, exactMatch } = trained?.evaluation ?? {};
  const more: Record<string, number | undefined> = { ...moved, startLoss: loss, startSamples: samples, startExactMatch: exactMatch };
  const named = Object.entries(more).flatMap(([name, value]) => (value === undefined ? [] : [[SWARM_FIGURE + name, value] as const]));
  const figures: ResultFigures = {
    ...figuresOf(task),
    ...(trained && { samples: trained.samples, steps: trained.steps, trainLoss: trained.trainLoss, counts: trained.counts }),
    evaluation: evaluated?.evaluation,
    metrics: { ...trained?.metrics, ...Object.fromEntries(named) },
    texts: { held },
  };
  await place.answer(task, figures, undefined, 'this site holds the new model');
}

/** The job of the round; throws `refused` where it is not that of the coordinator. */
function jobOf(given: object, task: Task, { job }: Workplace, { kit }: SwarmOptions): Job {
  const parsed = parseJob(given, `the job of ${task.id}`, kit);
  const asked = parsed.rounds;
  if (asked !== job.rounds) throw new FedStreamError('refused', `the task ${task.id} is for ${asked} rounds, the job has ${job.rounds}`);
  return parsed;
}

function listening({ listen }: SwarmOptions): SwarmListening {
  if (listen) return listen;
  throw new FedStreamError('unsupported', 'this site listens for no others, so it cannot be the aggregator (--swarm-listen)');
}

/** Throws where a task is for another round than it says, or for one that the job does not have. */
function checkRound(task: Task, label: string, { job }: Workplace): void {
  checkTask(task, job);
  if (roundOf(label) !== task.round) throw new FedStreamError('bad-frame', `the task ${task.id} is for round ${task.round}, and ${label}`);
}

function textsOf<T>(task: Task, schema: Parameters<typeof swarmTexts<T>>[1]): T {
  return swarmTexts(task.texts, schema, `the task ${task.id}`);
}

function swarmFolder({ folder }: Workplace) {
  return folder.folder(SWARM_FOLDER);
}

function roleOf(place: Workplace): Role {
  return new Role(swarmFolder(place));
}

async function heldDigest(place: Workplace): Promise<string | undefined> {
  const current = await place.finding().held.current();
  await current?.model.close?.();
  return current?.digest;
}
