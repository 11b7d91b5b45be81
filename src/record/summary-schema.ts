// What `summary.json` holds.
import { z } from 'zod';

const count = z.int().min(0);

/** A site's part of a round; null where the site gave no result. Bytes are those on the wire, and the same tensors in float32. */
const siteRoundSchema = z.object({
  trainLoss: z.number().nullable(),
  samples: count.nullable(),
  steps: count.nullable(),
  bytesDown: count,
  bytesUp: count,
  fp32BytesDown: count,
  fp32BytesUp: count,
  secondsDown: z.number(),
  secondsUp: z.number(),
  /** Leaves that were damaged and sent again. */
  retries: count,
  /** Bytes that did not have to be sent again after a cut. */
  resumedBytes: count,
  /** Numbers from the filters: `saturated`, … */
  counts: z.record(z.string(), z.number()).optional(),
  /** Further numbers of the site's trainer. */
  metrics: z.record(z.string(), z.number()).optional(),
});

const roundSchema = z.object({
  round: count,
  /** null while the round runs, or where it was cut short. */
  seconds: z.number().nullable(),
  /** Of these, averaging the results. */
  reduceSeconds: z.number().nullable(),
  sites: z.record(z.string(), siteRoundSchema),
});

const evaluationSchema = z.object({
  round: count,
  /** Nats a target token. */
  loss: z.number(),
  /** Share of held-out samples whose answer is right to the letter, 0 to 1; null where the trainer does not know it. */
  exactMatch: z.number().nullable(),
  samples: count,
  byCategory: z.record(z.string(), z.object({ loss: z.number().optional(), exactMatch: z.number(), samples: count })).optional(),
});

/** All transfers of the run, repeated ones too. */
const bytesSchema = z.object({
  down: count,
  up: count,
  total: count,
  fp32Down: count,
  fp32Up: count,
  fp32Total: count,
  /** The same tensors in the dtypes of the checkpoint. */
  ownTotal: count,
  /** `total / fp32Total`; null before anything was sent. */
  ratio: z.number().nullable(),
  /** `total / ownTotal`. */
  ownRatio: z.number().nullable(),
});

/** `summary.json` of a run folder. */
export const summarySchema = z.object({
  run: z.string(),
  /** Why the run ended; null while it runs, or where it was cut off. */
  reason: z.string().nullable(),
  /** ISO 8601. */
  startedAt: z.string().nullable(),
  /** Time that the run worked; time between a stop and `--resume` is not counted. */
  wallSeconds: z.number(),
  codec: z.string(),
  streaming: z.string(),
  seed: z.number().nullable(),
  parameters: count.nullable(),
  sites: z.array(z.string()),
  roundsPlanned: count,
  /** Of round 0, before any training: the model as it was given, uncoded; null where nothing was evaluated. */
  initial: evaluationSchema.nullable(),
  /** Of what the sites began with, where that is not the model to the bit; else null. */
  initialHeld: evaluationSchema.nullable(),
  /** Of the last evaluated round after it. */
  final: evaluationSchema.nullable(),
  /** By the job's `selection`. */
  best: evaluationSchema.nullable(),
  evaluations: z.array(evaluationSchema),
  rounds: z.array(roundSchema),
  /** Optimizer steps and target tokens of all sites. */
  steps: count,
  tokens: count,
  bytes: bytesSchema,
  /** Highest resident memory by process. */
  peakRssBytes: z.record(z.string(), count),
  /** The sum of these peaks: never less than all processes took at once. */
  peakRssBytesTotal: count,
  warningCount: count,
  /** The first of them. */
  warnings: z.array(z.string()),
});

export type Summary = z.output<typeof summarySchema>;
export type RoundSummary = Summary['rounds'][number];
export type SiteRoundSummary = RoundSummary['sites'][string];
export type EvaluationSummary = Summary['evaluations'][number];
