// Reads a job: `job.json`, or a TypeScript or JavaScript file that exports `job`, with the command
// line's options on top.
import { existsSync, readFileSync } from 'node:fs';
import { extname, resolve } from 'node:path';
import { FedStreamError } from '../core/errors.js';
import { DEFAULT_CODING, spelledOut } from '../filter/coding.js';
import type { Job } from '../job/job.js';
import { builtInKit, type Kit, parseJob, workflowOf } from '../kit/kit.js';
import { parseNamedFields } from '../trainer/data/named-fields.js';
import { importModule } from './import-module.js';

/** Fields of a job that the command line may set; undefined where an option was not given. */
export interface JobOverrides {
  readonly codec?: string;
  readonly first?: string;
  readonly streaming?: string;
  readonly rounds?: number;
  readonly sites?: number;
  readonly seed?: number;
  readonly data?: string;
  readonly fields?: string;
  readonly split?: string;
  readonly alpha?: number;
  readonly model?: string;
  readonly variant?: string;
  readonly delta?: boolean;
  readonly localSteps?: number;
  readonly learningRate?: number;
  readonly optimizerState?: string;
  readonly trainer?: string;
  readonly driver?: string;
  readonly algorithm?: string;
  readonly workflow?: string;
  readonly aggregator?: string;
}

/**
 * The validated job; without a file, the default job. Throws `not-found` for a missing file and
 * `bad-job` for one that cannot be read or is not valid.
 */
export async function loadJob(path: string | undefined, overrides: JobOverrides, kit?: Kit): Promise<Job> {
  const base = path === undefined ? {} : await readJobFile(path);
  if (base === null || typeof base !== 'object' || Array.isArray(base))
    throw new FedStreamError('bad-job', `${path}: a job is an object of fields`);
  const job = parseJob(merge(base as Record<string, unknown>, overrides), path ?? 'command line', kit);
  workflowOf(job, kit).checkJob?.(job, (kit ?? builtInKit).codecs);
  return job;
}

async function readJobFile(path: string): Promise<unknown> {
  const file = resolve(path);
  if (!existsSync(file)) throw new FedStreamError('not-found', `there is no job file ${path}`);
  if (extname(file) === '.json') {
    try {
      return JSON.parse(readFileSync(file, 'utf8'));
    } catch (cause) {
      throw new FedStreamError('bad-job', `${path}: ${(cause as Error).message}`, { cause });
    }
  }
  const loaded = await importModule(file, 'bad-job');
  const job = loaded.job ?? loaded.default;
  if (job === undefined) throw new FedStreamError('bad-job', `${path}: export the job: \`export const job = defineJob({ … })\``);
  return job;
}

function merge(base: Record<string, unknown>, over: JobOverrides): Record<string, unknown> {
  const train = defined({ localSteps: over.localSteps, learningRate: over.learningRate, optimizerState: over.optimizerState });
  const fields = defined({
    quantize: coding(over.codec ?? base.quantize, over.first),
    streaming: over.streaming,
    driver: over.driver,
    algorithm: over.algorithm,
    workflow: over.workflow,
    aggregator: over.aggregator,
    rounds: over.rounds,
    sites: over.sites,
    seed: over.seed,
    delta: over.delta,
    trainer: over.trainer === undefined ? undefined : { name: over.trainer },
    model: modelField(base.model, over),
    data: dataField(base.data, over),
  });
  const merged = { ...base, ...fields };
  if (Object.keys(train).length > 0) merged.train = { ...(base.train as object | undefined), ...train };
  return merged;
}

/** `--first` replaces one field of the coding and leaves the others. */
function coding(quantize: unknown, first: string | undefined): unknown {
  return first === undefined ? quantize : { ...spelledOut(quantize ?? DEFAULT_CODING), first };
}

function modelField(base: unknown, { model, variant }: JobOverrides): unknown {
  if (variant === undefined) return model === undefined ? undefined : { path: model };
  const path = model ?? (base as { path?: string } | undefined)?.path;
  if (path === undefined) throw new FedStreamError('bad-argument', '--variant chooses among the weights of a folder; name it with --model');
  return { path, variant };
}

function dataField(base: unknown, { data, split, alpha, fields }: JobOverrides): unknown {
  if (fields !== undefined) return { ...(dataField(base, { data, split, alpha }) ?? (base as object)), fields: parseNamedFields(fields) };
  if (data === undefined && split === undefined && alpha === undefined) return undefined;
  const how = alpha !== undefined ? { dirichlet: alpha } : split;
  const { path = data, fields: named } = {
    ...(base as { path?: string; fields?: unknown } | undefined),
    ...(data !== undefined && { path: data }),
  };
  if (path === undefined) throw new FedStreamError('bad-argument', '--split and --alpha divide a data file; name it with --data');
  return defined({ path, split: how, fields: named });
}

function defined(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
