// The words of a round between controller and executor: task and result, without their models.
import { z } from 'zod';
import { MAX_OFFERED_TEXT_BYTES } from '../trainer/bridge/messages.js';

const count = z.int().min(0);

const digest = z.string().regex(/^[0-9a-f]{32}$/);
const objectName = z.string().min(1).max(256);

/** Numbers that a workflow may give with a task. */
const MAX_FIGURES = 64;

/** Updates that a task may name: more would be larger than the model. */
export const MAX_UPDATES = 256;

/** How a site comes to the model of a task. Digests are over the float32 values that a site then holds (`contentDigest`). */
export const taskModelSchema = z.strictObject({
  /** Of what the site holds in the end; missing where broadcasts are whole and nothing is kept. */
  digest: digest.optional(),
  /** The object that brings the model to a site that holds nothing. */
  whole: z.strictObject({ object: objectName, bytes: count }),
  /** What the run began with: `base` where it is the model as it is, which a site may have already. */
  start: z.strictObject({ digest, base: z.boolean(), object: objectName.optional(), bytes: count.optional() }).optional(),
  /** The last broadcasts, each an update of what was held before; only where sites keep what they hold. */
  updates: z
    .array(z.strictObject({ object: objectName, bytes: count, from: digest, to: digest }))
    .max(MAX_UPDATES)
    .optional(),
});

export type TaskModel = z.output<typeof taskModelSchema>;

/** Names of task kinds: a site has a handler for each that it knows. */
export const TASK_KIND = /^[a-z][A-Za-z0-9-]{0,31}$/;

const figures = z
  .record(z.string().min(1).max(64), z.number())
  .refine((all) => Object.keys(all).length <= MAX_FIGURES, `at most ${MAX_FIGURES} figures`);

/** What a site is asked to do with a model. */
export const taskSchema = z.strictObject({
  id: z.string().min(1).max(128),
  /** `train`, `evaluate`, `offer` (an initial model), `base` (whether the site has the model that the run begins with), or a workflow's own. */
  kind: z.string().regex(TASK_KIND),
  /** From 1; for `evaluate`, the round whose model it is; 0 for `offer` and `base`. */
  round: count,
  rounds: z.int().min(1),
  /** Missing where the task has none, as `offer`. */
  model: taskModelSchema.optional(),
  /** The object that carries further named state dicts. */
  extras: z.strictObject({ object: objectName, bytes: count }).optional(),
  /** Numbers that the workflow gives with the task. */
  figures: figures.optional(),
  /** Whether the site evaluates the model on its own held-out data before it trains. */
  evaluate: z.boolean(),
});

export type Task = z.output<typeof taskSchema>;

/** What a site that asks for work is told. */
export type NextTask = { readonly task: Task } | { readonly stop: string };

export const metricsSchema = z.strictObject({
  loss: z.number().min(0),
  exactMatch: z.number().min(0).max(1).optional(),
  samples: z.int().min(1),
});

/** What a site says of its result; the model travels beside it. */
export const resultSchema = z.strictObject({
  task: z.string().min(1).max(128),
  samples: z.int().min(1),
  steps: count,
  trainLoss: z.number(),
  /** Of the received model, before training. */
  evaluation: metricsSchema.optional(),
  /** Numbers from the filters: `saturated`, … */
  counts: z.record(z.string().max(64), z.number()).default({}),
  /** Further numbers of the trainer. */
  metrics: z.record(z.string().max(64), z.number()).optional(),
  /** Texts of the model folder that come with an offer. */
  files: z.record(z.string().max(64), z.string().max(MAX_OFFERED_TEXT_BYTES)).optional(),
  peakRssBytes: count.optional(),
});

export type ResultFigures = z.output<typeof resultSchema>;
