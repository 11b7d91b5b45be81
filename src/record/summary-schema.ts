// The schema of `summary.json`.
import { z } from 'zod';
import { statisticsSchema } from '../trainer/statistics.js';

const count = z.int().min(0);

/**
 * A site's part of a round; null where the site gave no result. Bytes are those on the wire, and
 * those of the same tensors in float32.
 */
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
  /** Bytes that did not have to be sent again after an interruption. */
  resumedBytes: count,
  /** Counts from the filters: `saturated`, … */
  counts: z.record(z.string(), z.number()).optional(),
  /** Further numbers from the site's trainer. */
  metrics: z.record(z.string(), z.number()).optional(),
  /** Figures of the site's own model, where it has one. */
  personal: z.object({ loss: z.number(), exactMatch: z.number().optional(), samples: count }).optional(),
});

const roundSchema = z.object({
  round: count,
  /** Null while the round runs, or where it was cut short. */
  seconds: z.number().nullable(),
  /** The part of these seconds that was spent on averaging. */
  reduceSeconds: z.number().nullable(),
  sites: z.record(z.string(), siteRoundSchema),
});

const evaluationSchema = z.object({
  round: count,
  /** Nats a target token. */
  loss: z.number(),
  /**
   * Share of held-out samples answered exactly right, 0 to 1; null where the trainer does not
   * report it.
   */
  exactMatch: z.number().nullable(),
  samples: count,
  byCategory: z.record(z.string(), z.object({ loss: z.number().optional(), exactMatch: z.number(), samples: count })).optional(),
});

/** What a model achieves on the data of one site; null where it is not known. */
const siteEvaluationSchema = z.object({
  site: z.string(),
  round: count,
  /** The site that trained the model; null for the global model. */
  trained: z.string().nullable(),
  loss: z.number().nullable(),
  exactMatch: z.number().nullable(),
  samples: count.nullable(),
  /** Why there are no figures. */
  reason: z.string().nullable(),
});

/** Bytes of all transfers of the run, including repeated ones. */
const bytesSchema = z.object({
  down: count,
  up: count,
  total: count,
  fp32Down: count,
  fp32Up: count,
  fp32Total: count,
  /** Size of the same tensors in the dtypes of the checkpoint. */
  ownTotal: count,
  /** `total / fp32Total`; null before anything was sent. */
  ratio: z.number().nullable(),
  /** `total / ownTotal`. */
  ownRatio: z.number().nullable(),
});

/** `summary.json` of a run folder. */
export const summarySchema = z.object({
  run: z.string(),
  /** The reason why the run ended; null while it runs, or where it was cut off. */
  reason: z.string().nullable(),
  /** ISO 8601. */
  startedAt: z.string().nullable(),
  /** Working time of the run; time between a stop and `--resume` does not count. */
  wallSeconds: z.number(),
  codec: z.string(),
  streaming: z.string(),
  seed: z.number().nullable(),
  parameters: count.nullable(),
  sites: z.array(z.string()),
  roundsPlanned: count,
  /**
   * Figures of round 0, before any training, for the model as it was given, uncoded; null where
   * nothing was evaluated.
   */
  initial: evaluationSchema.nullable(),
  /** Figures of the model that the sites began with, where coding made it differ; else null. */
  initialHeld: evaluationSchema.nullable(),
  /** Figures of the last evaluated round after round 0. */
  final: evaluationSchema.nullable(),
  /** Figures of the best round, by the job's `selection`. */
  best: evaluationSchema.nullable(),
  evaluations: z.array(evaluationSchema),
  /** Figures of the sites' own models, the mean over the sites, by round; missing where they have none. */
  personal: z.array(evaluationSchema).optional(),
  /** Statistics of data: by site, and of all sites together (`site` null). */
  statistics: z
    .array(z.object({ site: z.string().nullable(), statistics: statisticsSchema.nullable(), reason: z.string().nullable() }))
    .optional(),
  /** Figures of models by site, where a run has them. */
  siteEvaluations: z.array(siteEvaluationSchema).optional(),
  rounds: z.array(roundSchema),
  /** Optimizer steps and target tokens of all sites. */
  steps: count,
  tokens: count,
  bytes: bytesSchema,
  /** Highest resident memory of each process. */
  peakRssBytes: z.record(z.string(), count),
  /** The sum of these peaks, an upper bound on the memory of all processes at any time. */
  peakRssBytesTotal: count,
  warningCount: count,
  /** The first of the warnings. */
  warnings: z.array(z.string()),
});

/** The contents of `summary.json`. */
export type Summary = z.output<typeof summarySchema>;
/** One round of the summary. */
export type RoundSummary = Summary['rounds'][number];
/** A site's part of a round of the summary. */
export type SiteRoundSummary = RoundSummary['sites'][string];
/** A model on the data of one site. */
export type SiteEvaluationSummary = z.output<typeof siteEvaluationSchema>;
/** One evaluation of the summary. */
export type EvaluationSummary = Summary['evaluations'][number];
