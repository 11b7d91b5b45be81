// A job as data: the model, the data, and how messages travel. Validation names the field that is
// wrong.
import { z } from 'zod';
import type { CodecTable } from '../codec/codec.js';
import { referenceCodecs } from '../codec/codec-table.js';
import { BUDGETS } from '../core/budgets.js';
import { FedStreamError } from '../core/errors.js';
import { type Choice, choiceSchema, type Table } from '../core/row.js';
import { SCHEMES } from '../driver/scheme.js';
import { builtInFiltersWith } from '../filter/built-in.js';
import { filterSpecsSchema, ownFilters } from '../filter/chain.js';
import { DEFAULT_CODING, quantizeSchema } from '../filter/coding.js';
import { FILTER_POINTS, type Filter } from '../filter/filter.js';
import { misplacedFilter } from '../filter/order.js';
import { policySchema } from '../filter/policy.js';
import { EXTRA_NAME } from '../tensor/extra-names.js';
import { namedFieldsSchema } from '../trainer/data/named-fields.js';
import { FINGERPRINT_NAME } from '../trainer/fingerprints.js';
import { type AlgorithmTable, withAlgorithm } from './algorithms.js';
import { loraSchema, withLora, wrongLora } from './lora.js';
import { checkModel, modelSchema, withModel } from './model.js';
import { unweighted, weightsSchema } from './weights.js';

/** Names of sites and runs; they become file names and log fields. */
export const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** The most sites of a job that gives their number; one that lists their names may have more. */
export const MOST_COUNTED_SITES = 10_000;

/** The most sites of a cross-site evaluation: its work and its table grow with their square. */
export const MOST_CROSSED_SITES = 100;

/** The rules for combining tensors that cannot be averaged. */
export const INTEGER_RULES = ['counters', 'refuse', 'previous', 'largest'] as const;

const name = z
  .string()
  .regex(NAME_PATTERN, 'must be 1 to 64 letters, digits, dots, dashes or underscores, and begin with a letter or digit');
const positive = z.number().positive();
const count = z.int().min(1);

const splitSchema = z.union([z.literal('iid'), z.literal('category'), z.strictObject({ dirichlet: positive })], {
  error: 'must be "iid", "category" or {"dirichlet": alpha}',
});

const dataSchema = z.union(
  [
    z.strictObject({ generated: count.max(10_000_000) }),
    z.strictObject({ path: z.string().min(1), split: splitSchema.default('iid'), fields: namedFieldsSchema.optional() }),
    z.strictObject({ files: z.record(name, z.string().min(1)), fields: namedFieldsSchema.optional() }),
  ],
  { error: 'must be {"generated": count}, {"path": "file", "split": "iid"} or {"files": {"site": "file"}}' },
);

const trainSchema = z.strictObject({
  /**
   * Optimizer steps of a site in a round, or passes over its own data; 60 steps if neither is
   * given.
   */
  localSteps: count.optional(),
  /** May be a part of a pass. */
  localEpochs: positive.max(1_000_000_000).optional(),
  /**
   * A site takes no further step of the round after so many seconds, whatever it has done of its steps
   * or passes (by default one). Results are weighted by steps then, as FedNova does.
   */
  localSeconds: positive.max(1_000_000).optional(),
  /**
   * Samples in a batch; by default as many as make about 2048 tokens, at most 32. The run's own
   * job.json has the number.
   */
  batchSize: count.max(65_536).optional(),
  /** Micro-batches in one optimizer step. */
  accumulate: count.max(4096).default(1),
  /**
   * Longest sample in tokens; by default long enough for 95 of 100 samples, at most 256. The run's
   * own job.json has the number.
   */
  maxTokens: z.int().min(8).max(131_072).optional(),
  learningRate: positive.default(2e-3),
  schedule: z.enum(['constant', 'cosine']).default('cosine'),
  warmupSteps: z.int().min(0).default(20),
  weightDecay: z.number().min(0).default(0.01),
  beta1: z.number().min(0).lt(1).default(0.9),
  beta2: z.number().min(0).lt(1).default(0.95),
  epsilon: positive.default(1e-8),
  clipNorm: positive.default(1),
  /** AdamW's moments are kept from round to round (on the site's disk), or start anew. */
  optimizerState: z.enum(['keep', 'reset']).default('keep'),
});

/**
 * The tables that a job's names are checked against; codecs and filters default to those of this
 * package.
 */
export interface JobTables {
  readonly algorithms?: AlgorithmTable;
  readonly workflows?: Table<unknown>;
  readonly aggregators?: Table<unknown>;
  readonly codecs?: CodecTable;
  readonly filters?: Table<Filter>;
}

const ELSEWHERE = z.custom<string | Choice>(() => true).transform((value): Choice => (typeof value === 'string' ? { type: value } : value));

/**
 * The schema of `job.json`. Every field has a default; unknown fields are errors. A workflow or an
 * aggregator is not checked without its table.
 */
export function jobSchemaOf({ workflows, aggregators, codecs = referenceCodecs, filters = builtInFiltersWith(codecs) }: JobTables = {}) {
  const workflow = workflows ? choiceSchema(workflows, 'workflow') : ELSEWHERE;
  const aggregator = aggregators ? choiceSchema(aggregators, 'aggregator') : ELSEWHERE;
  return z.strictObject({
    ...FIELDS,
    ...codedFields(codecs, filters),
    /** The order in which sites are asked, and what they are asked. */
    workflow: workflow.prefault('fedAvg'),
    /** The way in which results become the next model. */
    aggregator: aggregator.prefault('mean'),
  });
}

/** The schema for one of the state dicts beside the model. */
function extraSchema(codecs: CodecTable, filters: Table<Filter>) {
  return z.strictObject({
    quantize: policySchema(codecs).default('fp32'),
    filters: filterSpecsSchema(filters).optional(),
  });
}

/** The fields that name codecs and filters. */
function codedFields(codecs: CodecTable, filters: Table<Filter>) {
  return {
    quantize: quantizeSchema(codecs).prefault(DEFAULT_CODING),
    /**
     * Coding and filters of the state dicts beside the model, by name (`control`, …); by default
     * they travel as they are.
     */
    extras: z.record(z.string().regex(EXTRA_NAME), extraSchema(codecs, filters)).default({}),
    filters: filterSpecsSchema(filters).optional(),
  };
}

const FIELDS = {
  name: name.optional(),
  /** A name for settings that belong together; fields that the job has itself win. */
  algorithm: name.optional(),
  seed: z.int().min(0).max(0xffffffff).default(17),
  rounds: count.max(100_000).default(5),
  /** The number of sites (`site-1`, …), or their names. */
  sites: z
    .union([count.max(MOST_COUNTED_SITES), z.array(name).min(1)], { error: 'must be a number of sites or a list of their names' })
    .default(3),
  /**
   * Results that a round needs; by default two thirds of the sites, or of those that are drawn for the
   * round, rounded up.
   */
  quorum: count.optional(),
  /** Draws some of the sites for each round's training, by the seed; by default all train. */
  sample: z
    .strictObject({
      /** The number of draws in a round. */
      sites: count.max(MOST_COUNTED_SITES),
      /**
       * `equal`: each site once at most, all with the same chance. `weights`: with replacement, in
       * proportion to the job's `weights`, and a result counts as often as its site was drawn.
       */
      by: z.enum(['equal', 'weights']).default('equal'),
    })
    .optional(),
  /** A site that sends nothing for this long is given up for the round. */
  stragglerMs: z.int().min(100).default(120_000),
  /**
   * A site that only says that it is alive, without a step or a byte, is given up for the round
   * after this long; by default 60 times `stragglerMs`.
   */
  aliveMs: z.int().min(100).optional(),
  /**
   * A round that takes longer than this ends with the results received so far; by default three
   * days.
   */
  roundMs: z.int().min(100).optional(),
  /**
   * Once a round has its quorum, the remaining sites get this much longer; by default ten times
   * what the quorum took, and at least 30 times `stragglerMs`.
   */
  graceMs: z.int().min(0).optional(),
  /** A connection that is silent for this long is considered dead. */
  idleMs: z.int().min(1_000).default(30_000),
  /**
   * The trainer: a program that each site has registered under this name. Without it, the built-in
   * trainer.
   */
  trainer: z.strictObject({ name }).optional(),
  /**
   * The initial model; by default the small configuration, or with a trainer of the sites' own, the
   * model that the first site offers.
   */
  model: modelSchema.prefault({}),
  /** The most bytes of a model that a site offers, in its own dtypes; a larger one is refused. */
  offerBytes: z.int().min(1).default(BUDGETS.offerBytes.limit),
  data: dataSchema.default({ generated: 6000 }),
  /** The share of the data that is held out from training and used to evaluate the global model. */
  validationFraction: z.number().min(0).max(0.5).default(0.1),
  /** The largest number of held-out samples that are used. */
  validationSamples: count.default(600),
  train: trainSchema.prefault({}),
  delta: z.boolean().optional(),
  /** The rule for tensors that cannot be averaged (counters, masks). */
  integers: z.enum(INTEGER_RULES).default('counters'),
  lora: loraSchema.prefault('factors'),
  /** How much each site's result counts in an average. */
  weights: weightsSchema.prefault('samples'),
  /**
   * A result is refused whose update is so many times as large as the median of the round's.
   */
  normBound: z.union([z.number().min(1), z.literal('off')], { error: 'must be a number from 1, or "off"' }).default(10),
  /**
   * What comes of sites that tell different things of what they train, by the name of a fingerprint
   * or the part of it before a dot; `refuse` for each that is not named.
   */
  differences: z.record(z.string().regex(FINGERPRINT_NAME), z.enum(['refuse', 'warn'], { error: 'must be "refuse" or "warn"' })).optional(),
  streaming: z.enum(['regular', 'container', 'file']).default('file'),
  /** The kind of connection between server and sites, where the command line gives no address. */
  driver: z.enum(SCHEMES, { error: `must be one of ${SCHEMES.join(', ')}` }).default('tcp'),
  selection: z.enum(['loss', 'exactMatch']).default('loss'),
  /**
   * At the end of the run, every model on the data of every site: the last global model, the best
   * one, and what each site trained in the last round.
   */
  crossSiteEvaluation: z.boolean().default(false),
  earlyStop: z.strictObject({ patience: count, minDelta: z.number().min(0).default(0) }).optional(),
};

/** A job with all its defaults, as `parseJob` returns it; `docs/job.md` explains every field. */
export type Job = z.output<ReturnType<typeof jobSchemaOf>>;

/** A job as a person writes it: every field has a default. */
export type JobInput = z.input<ReturnType<typeof jobSchemaOf>>;

/**
 * Returns the job unchanged. For `job.ts` files: it gives the types of the fields while writing;
 * the job is validated when it is used.
 */
export function defineJob(job: JobInput): JobInput {
  return job;
}

/**
 * Returns the job with its defaults, checked against the tables. Throws `bad-job`, which names
 * every wrong field in one line.
 */
export function checkedJob(value: unknown, source: string, tables: JobTables = {}): Job {
  const whole = tables.algorithms ? withAlgorithm(value, tables.algorithms, source) : value;
  const parsed = jobSchemaOf(tables).safeParse(withModel(whole));
  if (!parsed.success) throw new FedStreamError('bad-job', `${source}: ${describeIssues(parsed.error.issues)}`);
  const job = withLora(parsed.data);
  const sites = siteNames(job);
  if (new Set(sites).size !== sites.length) throw new FedStreamError('bad-job', `${source}: sites: a name is listed twice`);
  if (job.quorum !== undefined && job.quorum > sites.length)
    throw new FedStreamError('bad-job', `${source}: quorum: ${job.quorum} results are asked of ${sites.length} sites`);
  if (job.sample) checkSample(job.sample, job, source);
  const unknown = unweighted(job.weights, sites);
  const unfit = unknown === undefined ? wrongLora(job, sites) : `weights: ${unknown}`;
  if (unfit !== undefined) throw new FedStreamError('bad-job', `${source}: ${unfit}`);
  if (job.crossSiteEvaluation && sites.length > MOST_CROSSED_SITES)
    throw new FedStreamError(
      'bad-job',
      `${source}: crossSiteEvaluation: ${sites.length} sites would evaluate ${sites.length + 2} models each; it is for at most ${MOST_CROSSED_SITES} sites`,
    );
  checkExtras(job, source, tables);
  const misplaced = misplacedFilter(job, tables.codecs ?? referenceCodecs, tables.filters);
  if (misplaced !== undefined) throw new FedStreamError('bad-job', `${source}: ${misplaced}`);
  checkModel(job.model, job.trainer, source);
  return job;
}

/** Checks that as many sites as are drawn exist and make a quorum, and that draws have weights to go by. */
function checkSample({ sites: drawn, by }: NonNullable<Job['sample']>, job: Job, source: string): void {
  const { length } = siteNames(job);
  const wrong = (what: string): FedStreamError => new FedStreamError('bad-job', `${source}: ${what}`);
  if (by === 'equal' && drawn > length) throw wrong(`sample.sites: ${drawn} sites are drawn of ${length}`);
  if (job.quorum !== undefined && job.quorum > drawn)
    throw wrong(`quorum: ${job.quorum} results are asked of ${drawn} sites that are drawn`);
  if (by === 'weights' && job.weights.type !== 'sites')
    throw wrong(
      'sample.by: draws in proportion to weights need numbers that no site can change; give the job "weights": {"site-1": 1000, …}, or draw by "equal"',
    );
}

/**
 * Refuses filters on extras that work on updates: a state dict beside the model is not an update.
 */
function checkExtras(
  { extras, quantize }: Job,
  source: string,
  { codecs = referenceCodecs, filters: table = builtInFiltersWith(codecs) }: JobTables,
): void {
  for (const [name, { filters = {} }] of Object.entries(extras)) {
    for (const point of FILTER_POINTS) {
      const own = ownFilters({ quantize, filters }, point, table);
      const wrong = own.findIndex(({ on, makes }) => on === 'update' || makes !== undefined);
      if (wrong >= 0)
        throw new FedStreamError(
          'bad-job',
          `${source}: extras.${name}.filters.${point}.${wrong}: ${filters[point]?.[wrong]?.type} works on updates of the model; ${name} is none`,
        );
    }
  }
}

/** The names of the job's sites, in order. */
export function siteNames(job: Job): string[] {
  if ('files' in job.data) return Object.keys(job.data.files).sort();
  if (Array.isArray(job.sites)) return [...job.sites];
  return Array.from({ length: job.sites }, (_, index) => `site-${index + 1}`);
}

/** The limits of a wait for answers in ms, with the defaults that follow from the job. */
export interface RoundLimits {
  readonly aliveMs: number;
  readonly deadlineMs: number;
  readonly graceMs: number | ((quorumTookMs: number) => number);
}

/** How many times `stragglerMs` the sites get after the quorum, however soon it was there. */
const LEAST_GRACE_TIMES = 30;

/**
 * The limits of a round: no site can hold it for ever, and slow ones have ample time. NVFlare waits
 * 10 s after its quorum, and Flower has no limit unless one is given.
 */
export function roundLimits({ aliveMs, roundMs, graceMs, stragglerMs }: Job): RoundLimits {
  const least = LEAST_GRACE_TIMES * stragglerMs;
  return {
    aliveMs: aliveMs ?? BUDGETS.aliveTimes.limit * stragglerMs,
    deadlineMs: roundMs ?? BUDGETS.roundTime.limit,
    graceMs: graceMs ?? ((quorumTookMs) => Math.max(least, BUDGETS.graceTimes.limit * quorumTookMs)),
  };
}

/** The number of results that a round needs. */
export function quorumOf(job: Job): number {
  return job.quorum ?? Math.max(1, Math.ceil((siteNames(job).length * 2) / 3));
}

/** The number of results that a round needs of so many sites that were drawn for it. */
export function sampleQuorum(job: Job, drawn: number): number {
  return Math.min(drawn, job.quorum ?? Math.max(1, Math.ceil((drawn * 2) / 3)));
}

function describeIssues(issues: readonly z.core.$ZodIssue[]): string {
  return issues.map(describeIssue).join('; ');
}

function describeIssue(issue: z.core.$ZodIssue): string {
  const at = issue.path.map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    const fields = issue.keys.map((key) => (at ? `${at}.${key}` : key)).join(', ');
    return `${fields}: unknown field; see docs/job.md for the fields there are`;
  }
  if (issue.code === 'invalid_union') {
    const inner = issue.errors.flat().find((other) => other.code === 'custom' || other.code === 'unrecognized_keys');
    if (inner) return describeIssue({ ...inner, path: [...issue.path, ...inner.path] });
  }
  return `${at || 'job'}: ${issue.message}`;
}
