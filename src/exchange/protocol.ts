// The requests between a site and the server: the schema of each body.
import { z } from 'zod';
import { fingerprintsSchema } from '../trainer/fingerprints.js';
import { figureSchema, memoryBytesSchema, peerText, stepCountSchema } from './figure.js';
import { taskSchema } from './task.js';

/** The memory that a report carries, in bytes; see `Memory`. */
export const memorySchema = z.strictObject({ rssBytes: memoryBytesSchema, peakRssBytes: memoryBytesSchema });

/** Resident memory of a process, now and at its highest, as the operating system accounts it. */
export type Memory = z.output<typeof memorySchema>;

const stepSchema = z.strictObject({
  step: stepCountSchema.min(1),
  loss: figureSchema,
  learningRate: figureSchema,
  tokens: stepCountSchema,
});

/** The most steps that one progress report may carry; a site with more sends several reports. */
export const STEPS_A_REPORT = 256;

/** The reply to `join`. */
export const joinReplySchema = z.strictObject({
  /** The unique name of the run; state that a site keeps is bound to it. */
  run: z.string().min(1).max(64),
  /** The job as the server validated it; the site validates it again. */
  job: z.unknown(),
  /**
   * Texts of the model folder that the site fetches as objects: `config.json`, `tokenizer.json`, …
   */
  files: z.array(z.string().min(1).max(64)).max(16),
});

/** The reply to `next`: a task, or the reason to stop. */
export const nextReplySchema = z.union([z.strictObject({ task: taskSchema }), z.strictObject({ stop: peerText(4096) })]);

/** The body of `progress`: steps and memory use of a task. */
export const progressSchema = z.strictObject({
  task: z.string().max(128),
  steps: z.array(stepSchema).max(STEPS_A_REPORT),
  memory: memorySchema,
  /** True if the trainer reported activity other than steps since the last report. */
  alive: z.boolean().default(false),
});

/** The body of `about`: what the training of a task rests on, as the site's trainer tells it. */
export const aboutSchema = z.strictObject({ task: z.string().max(128), fingerprints: fingerprintsSchema });

/** The body of `fail`: a task that the site could not do. */
export const failSchema = z.strictObject({ task: z.string().max(128), code: peerText(64), message: peerText(4096) });

/**
 * The file with the manifest of the global model, for a site that checks whether it has the model
 * already.
 */
export const MANIFEST_FILE = 'manifest.json';

/**
 * The body of `has-base`: the site has the model that the task begins with, so it need not travel.
 */
export const hasBaseSchema = z.strictObject({ task: z.string().max(128) });
