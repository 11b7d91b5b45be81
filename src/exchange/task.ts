// Tasks and results, without their models: the messages of a round between server and site.
import { z } from 'zod';
import { ABILITY, MOST_ABILITIES } from '../core/ability.js';
import { BUDGETS } from '../core/budgets.js';
import { statisticsSchema } from '../trainer/statistics.js';
import { figureSchema, memoryBytesSchema, namedFiguresSchema, samplesSchema, stepCountSchema } from './figure.js';

const count = z.int().min(0);

const digest = z.string().regex(/^[0-9a-f]{32}$/);
/** An object's name is part of the names of its spools. */
const objectName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/);

/** The most updates that a task may name; more would be larger than the model. */
export const MAX_UPDATES = 256;

/**
 * The ways in which a site can get the model of a task. Digests are over the float32 values that a
 * site then holds (`contentDigest`).
 */
export const taskModelSchema = z.strictObject({
  /**
   * Digest of the model that the site holds in the end; missing where broadcasts are whole and no
   * model is kept.
   */
  digest: digest.optional(),
  /** The object that brings the model to a site that holds none. */
  whole: z.strictObject({ object: objectName, bytes: count }),
  /**
   * The model that the run began with; `base` where it is the model as it is, which a site may have
   * already.
   */
  start: z.strictObject({ digest, base: z.boolean(), object: objectName.optional(), bytes: count.optional() }).optional(),
  /**
   * The last broadcasts, each an update of the model held before; only where sites keep the model.
   */
  updates: z
    .array(z.strictObject({ object: objectName, bytes: count, from: digest, to: digest }))
    .max(MAX_UPDATES)
    .optional(),
});

/** The model of a task as the task describes it. */
export type TaskModel = z.output<typeof taskModelSchema>;

/** The most parts in which a model may be exchanged. */
export const MAX_PARTS = BUDGETS.modelParts.limit;

const partsSchema = z.strictObject({
  /** The part, from 1, whose update is the answer, and the number of parts. */
  part: z.int().min(1).max(MAX_PARTS),
  of: z.int().min(1).max(MAX_PARTS),
  /** Steps between sending a part and merging it; the share of a site's own values in a merge. */
  overlap: count,
  alpha: z.number().min(0).lt(1),
  /** Every part as it is now, and the round in which it became so; 0 for the initial model. */
  models: z.array(z.strictObject({ round: count, model: taskModelSchema })).max(MAX_PARTS),
});

/** The names of task kinds; a site has a handler for each kind that it knows. */
export const TASK_KIND = /^[a-z][A-Za-z0-9-]{0,31}$/;

/** The most texts of a model folder that come with an offered model. */
const MAX_OFFERED_FILES = 16;
/** Texts of up to so many bytes together travel in the header of a frame, larger ones in the manifest. */
export const MAX_HEADER_TEXT_BYTES = 32 * 1024;

const textName = z.string().regex(/^[a-z][A-Za-z0-9-]{0,31}$/);

/** Texts by name, for code to read: together at most so many characters. */
const textsSchema = (mostCharacters: number) =>
  z
    .record(textName, z.string())
    .refine(
      (texts) => Object.values(texts).reduce((sum, text) => sum + text.length, 0) <= mostCharacters,
      `the texts have at most ${mostCharacters} characters together`,
    );

/** A task for a site. */
export const taskSchema = z.strictObject({
  id: z.string().min(1).max(128),
  /**
   * `train`, `trainPart`, `evaluate`, `offer` (an initial model), `base` (a check for the model that the run
   * begins with), or a workflow's own kind.
   */
  kind: z.string().regex(TASK_KIND),
  /** From 1; for `evaluate`, the round whose model it is; 0 for `offer` and `base`. */
  round: count,
  rounds: z.int().min(1),
  /** Missing where the task has no model, as in `offer`. */
  model: taskModelSchema.optional(),
  /** The parts of the model, in their order, where it is exchanged in parts; `model` is then missing. */
  parts: partsSchema.optional(),
  /** The object that carries further named state dicts. */
  extras: z.strictObject({ object: objectName, bytes: count }).optional(),
  /** Numbers that the workflow gives with the task. */
  figures: namedFiguresSchema.optional(),
  /** Texts that a workflow of its own kind gives with the task, by name. */
  texts: textsSchema(BUDGETS.taskTexts.limit).optional(),
  /** True where the site evaluates the model on its own held-out data before it trains. */
  evaluate: z.boolean(),
  /** What the trainer must know for this training, by name; the site refuses the task otherwise. */
  needs: z.array(z.string().regex(ABILITY)).max(MOST_ABILITIES).optional(),
});

/** A task for a site. */
export type Task = z.output<typeof taskSchema>;

/** The reply to a site that asks for work: a task, or the reason to stop. */
export type NextTask = { readonly task: Task } | { readonly stop: string };

/**
 * Figures of an evaluation: `loss` in nats a target token, `exactMatch` in 0..1 where it is known.
 */
export const metricsSchema = z.strictObject({
  loss: figureSchema.min(0),
  exactMatch: z.number().min(0).max(1).optional(),
  samples: samplesSchema,
});

/** Figures of a model over the samples of all sites together. */
export const meanMetricsSchema = metricsSchema.extend({ samples: z.int().min(1) });

/** The figures of a result; the model travels beside them. */
export const resultSchema = z.strictObject({
  task: z.string().min(1).max(128),
  samples: samplesSchema,
  steps: stepCountSchema,
  trainLoss: figureSchema,
  /** Figures of the received model, before training. */
  evaluation: metricsSchema.optional(),
  /** Figures of the site's own model: a personal one, or the global one with its local tensors. */
  personal: metricsSchema.optional(),
  /** Counts from the filters: `saturated`, … */
  counts: namedFiguresSchema.default({}),
  /** Further numbers from the trainer. */
  metrics: namedFiguresSchema.optional(),
  /** Texts of the model folder that come with an offered model. */
  files: z
    .record(z.string().max(64), z.string().max(MAX_HEADER_TEXT_BYTES))
    .refine((all) => Object.keys(all).length <= MAX_OFFERED_FILES, `at most ${MAX_OFFERED_FILES} texts`)
    .optional(),
  /** Texts that the task's own kind asks for, by name. */
  texts: textsSchema(BUDGETS.answerTexts.limit).optional(),
  /** What the site tells of its data, in a task of kind `statistics`. */
  statistics: statisticsSchema.optional(),
  peakRssBytes: memoryBytesSchema.optional(),
});

/** The figures of a result, as parsed. */
export type ResultFigures = z.output<typeof resultSchema>;
