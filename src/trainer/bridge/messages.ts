// The messages of the trainer bridge (docs/spec/trainer-bridge.md): schemas, limits and lines.
import { z } from 'zod';
import { ABILITY, MOST_ABILITIES } from '../../core/ability.js';
import { BUDGETS } from '../../core/budgets.js';
import { FedStreamError } from '../../core/errors.js';
import type { Json } from '../../core/json.js';
import { textBytes } from '../../tensor/noted-texts.js';
import { fingerprintsSchema } from '../fingerprints.js';

/** Version of the bridge. */
export const BRIDGE_PROTOCOL = 1;
/** The environment variable with the address that the site listens on. */
export const BRIDGE_VARIABLE = 'FEDSTREAM_BRIDGE';
/** Limit of a message with its line feed; a `result` with the largest `files` is far smaller. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
/** Limit of all texts of an offer together. */
export const MAX_OFFERED_TEXT_BYTES = BUDGETS.offeredTextBytes.limit;
/** Names of the texts that an offer may bring. */
export const OFFERED_FILES = ['config.json', 'generation_config.json', 'adapter_config.json'] as const;
/** Limit of named numbers in a message: metrics of a result, figures of a task. */
export const MAX_NUMBERS = 64;

const count = z.int().min(0);
const taskId = z.string().min(1).max(128);

/** Figures of a model on the trainer's own held-out data. */
const evaluationSchema = z.object({
  loss: z.number().min(0),
  exactMatch: z.number().min(0).max(1).optional(),
  samples: z.int().min(1),
});

/** Finite numbers by name. */
export const numbersSchema = z
  .record(z.string().min(1).max(64), z.number())
  .refine((numbers) => Object.keys(numbers).length <= MAX_NUMBERS, `at most ${MAX_NUMBERS} numbers`);

const filesSchema = z
  .partialRecord(z.enum(OFFERED_FILES), z.string())
  .refine((files) => textBytes(files) <= MAX_OFFERED_TEXT_BYTES, `at most ${MAX_OFFERED_TEXT_BYTES} bytes of text together`);

/** A program's answer to a task; the kind of the task decides which fields it needs. */
export const bridgeResultSchema = z.object({
  type: z.literal('result'),
  task: taskId,
  samples: z.int().min(1).optional(),
  steps: count.optional(),
  trainLoss: z.number().optional(),
  evaluation: evaluationSchema.optional(),
  metrics: numbersSchema.default({}),
  files: filesSchema.default({}),
  /**
   * Names of the extras that the program has written, not yet checked; `extraFile` gives their
   * files.
   */
  extras: z.array(z.string()).default([]),
});

/** A program's answer to a task. */
export type BridgeResult = z.output<typeof bridgeResultSchema>;

/** A part of the model at the end of a segment, in a task with `parts`. Its file is written and closed. */
export const bridgePartSchema = z.object({
  type: z.literal('part'),
  task: taskId,
  segment: z.int().min(1),
  samples: z.int().min(1),
  steps: count,
  trainLoss: z.number(),
  metrics: numbersSchema.default({}),
});

/** A part of the model from a program. */
export type BridgePart = z.output<typeof bridgePartSchema>;

/** Messages of a program. */
export const programMessageSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('hello'), protocol: z.number(), client: z.string().max(256) }),
  z.object({
    type: z.literal('about'),
    fingerprints: fingerprintsSchema.default({}),
    /** What the program knows beyond plain training (`Trainer.knows`). */
    knows: z.array(z.string().regex(ABILITY)).max(MOST_ABILITIES).optional(),
  }),
  z.object({ type: z.literal('receive') }),
  z.object({
    type: z.literal('step'),
    step: z.int().min(1),
    loss: z.number(),
    learningRate: z.number().min(0).default(0),
    tokens: count.default(0),
  }),
  z.object({ type: z.literal('alive') }),
  z.object({ type: z.literal('log'), level: z.enum(['debug', 'info', 'warn', 'error']), message: z.string() }),
  bridgePartSchema,
  bridgeResultSchema,
]);

/** A message of a program. */
export type ProgramMessage = z.output<typeof programMessageSchema>;

/** The part of the job that a program gets. */
export const bridgeJobSchema = z.object({
  name: z.string().optional(),
  seed: z.number(),
  rounds: z.int().min(1),
  train: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  /** How LoRA adapters are averaged; missing for `factors`. */
  lora: z.string().max(64).optional(),
});

/** The part of the job that a program gets. */
export type BridgeJob = z.output<typeof bridgeJobSchema>;

/** A task for a program. */
export const bridgeTaskSchema = z.object({
  type: z.literal('task'),
  id: taskId,
  kind: z.enum(['offer', 'train', 'evaluate']),
  round: count,
  rounds: z.int().min(1),
  /** Absolute paths. */
  model: z.string().optional(),
  result: z.string().optional(),
  /** Absolute paths by name; missing if the task has no extras. */
  extras: z.record(z.string(), z.string()).optional(),
  /** Missing if the task has no figures. */
  figures: numbersSchema.optional(),
  /** In a task of training from here to the end of the run, whose model is exchanged in parts. */
  parts: z
    .object({
      of: z.int().min(1),
      overlap: count,
      alpha: z.number().min(0).lt(1),
      /** The segments that are done. */
      done: count,
      /** The names of the tensors of each part. */
      names: z.array(z.array(z.string())),
    })
    .optional(),
});

/** A task for a program. */
export type BridgeTask = z.output<typeof bridgeTaskSchema>;

/** The file of a part that goes with a segment: that of the task's result, or of its model. */
export function partFile(file: string, segment: number): string {
  return extraFile(file, String(segment));
}

/**
 * The file of an extra that goes with a model's file, both ways. The rule keeps either side from
 * naming other files.
 */
export function extraFile(model: string, name: string): string {
  return `${model}.${name}.safetensors`;
}

/** Messages of a site. */
export const siteMessageSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('welcome'), protocol: z.number(), site: z.string(), folder: z.string(), job: bridgeJobSchema }),
  bridgeTaskSchema,
  z.object({ type: z.literal('merge'), task: taskId, segment: z.int().min(1), model: z.string() }),
  z.object({ type: z.literal('stop'), reason: z.string() }),
]);

/** A message of a site. */
export type SiteMessage = z.output<typeof siteMessageSchema>;

/** The line of a message, in UTF-8 with its line feed. */
export function encodeMessage(message: ProgramMessage | SiteMessage | { readonly [key: string]: Json | undefined }): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(message)}\n`);
}

/** Parses the line of a message; throws `trainer`, which names the sender `from` and the fault. */
export function parseMessage<T>(line: string, schema: z.ZodType<T>, from: string): T {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new FedStreamError('trainer', `${from} sent a line that is not JSON: ${line.slice(0, 80)}`, { cause });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const type = String((value as { type?: unknown } | null)?.type);
  const what = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'type'}: ${message}`).join('; ');
  throw new FedStreamError('trainer', `${from} sent a message "${type.slice(0, 40)}" that is none: ${what.slice(0, 400)}`);
}
