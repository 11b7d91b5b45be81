// The words of a round between controller and executor: task and result, without their models.
import { z } from 'zod';
import { MAX_OFFERED_TEXT_BYTES } from '../trainer/bridge/messages.js';

const count = z.int().min(0);

/** What a site is asked to do with a model. */
export const taskSchema = z.strictObject({
  id: z.string().min(1).max(128),
  kind: z.enum(['train', 'evaluate', 'offer']),
  /** From 1; for `evaluate`, the round whose model it is; 0 for `offer`, which asks for an initial model. */
  round: count,
  rounds: z.int().min(1),
  /** The name under which the server offers the model; empty for `offer`. */
  object: z.string().max(256),
  /** The round whose model the object is a difference to; missing where it is whole. A site that does not hold that model asks for the whole one. */
  base: count.optional(),
  /** Whether the site evaluates the model on its own held-out data before it trains. */
  evaluate: z.boolean(),
});

export type Task = z.output<typeof taskSchema>;

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
