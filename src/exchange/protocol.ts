// What a site and the server ask of each other: names of requests, and the schema of each body.
import { z } from 'zod';
import { resultSchema, taskSchema } from './task.js';

const bytes = z.int().min(0);

export const memorySchema = z.strictObject({ rssBytes: bytes, peakRssBytes: bytes });

/** Resident memory of a process, now and at its highest, as the operating system accounts it. */
export type Memory = z.output<typeof memorySchema>;

const stepSchema = z.strictObject({
  step: z.int().min(1),
  loss: z.number(),
  learningRate: z.number(),
  tokens: bytes,
});

/** Steps that one progress report may carry; a site with more sends several. */
export const STEPS_A_REPORT = 256;

export const joinReplySchema = z.strictObject({
  /** A name of the run, no other one's: what a site keeps is bound to it. */
  run: z.string().min(1).max(64),
  /** The job as the server validated it; the site validates it again. */
  job: z.unknown(),
  /** Texts of the model folder that the site fetches as objects: `config.json`, `tokenizer.json`, … */
  files: z.array(z.string().min(1).max(64)).max(16),
});

export const nextReplySchema = z.union([z.strictObject({ task: taskSchema }), z.strictObject({ stop: z.string().max(4096) })]);

export const progressSchema = z.strictObject({
  task: z.string().max(128),
  steps: z.array(stepSchema).max(STEPS_A_REPORT),
  memory: memorySchema,
  /** Whether the trainer gave a sign of life since the last report, besides steps. */
  alive: z.boolean().default(false),
});

export const failSchema = z.strictObject({ task: z.string().max(128), code: z.string().max(64), message: z.string().max(4096) });

/** The file that has the manifest of the global model, for a site that looks whether it has the model already. */
export const MANIFEST_FILE = 'manifest.json';

/** A site has what the task's model begins with: nothing of it travels. */
export const hasBaseSchema = z.strictObject({ task: z.string().max(128) });

/** The meta of a stream that carries a result. */
export const resultStreamSchema = z.strictObject({ kind: z.literal('result'), figures: resultSchema });
