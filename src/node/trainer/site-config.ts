// A site's configuration: its trainers, and the filters and limits that it enforces (docs/site.md).
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { DURATIONS, parseDuration } from '../../core/duration.js';
import { FedStreamError } from '../../core/errors.js';
import type { Choice, Table } from '../../core/row.js';
import { builtInFilters } from '../../filter/built-in.js';
import type { Filter } from '../../filter/filter.js';
import { siteFiltersSchema } from '../../filter/site-filters.js';
import { NAME_PATTERN } from '../../job/job.js';
import { limitsSchema, type SiteLimits } from '../../site/limits.js';
import { type SiteShare, shareSchema } from '../../site/share.js';
import { type NamedFields, namedFieldsSchema } from '../../trainer/data/named-fields.js';
import { ioError } from '../storage/io-error.js';

/** Longer than a program is silent while it loads a large model. */
const DEFAULT_SILENCE_MS = 600_000;
/** Long enough, since a program that saves its model at the end prints something now and then. */
const DEFAULT_STOP_MS = 60_000;

const text = z.string().refine((value) => !value.includes('\0'), 'has a NUL in it');

const trainerSchema = z.strictObject({
  command: z.tuple([text.min(1)], text),
  folder: text.min(1).default('.'),
  environment: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), text).default({}),
  silenceMs: z.int().min(100).default(DEFAULT_SILENCE_MS),
  stopMs: z.int().min(100).default(DEFAULT_STOP_MS),
});

/** How long a server that is away is looked for: a text such as `10m`, or seconds. */
const retrySchema = z.union([z.number(), z.string()]).transform((value, context) => {
  const ms = parseDuration(String(value));
  if (ms !== undefined) return ms;
  context.addIssue({ code: 'custom', message: `write a duration such as ${DURATIONS}; a bare number is seconds` });
  return z.NEVER;
});

/** The way to the other sites of a swarm. */
const swarmSchema = z.strictObject({
  listen: text.min(1).optional(),
  address: text.min(1).optional(),
  /** Hosts that the site connects to. */
  allow: z.array(text.min(1)).default([]),
});

const siteConfigSchema = (table: Table<Filter>) =>
  z.strictObject({
    trainers: z.record(z.string().regex(NAME_PATTERN), trainerSchema).default({}),
    filters: siteFiltersSchema(table).default([]),
    /** The most bytes of all that a server makes the site keep in its work folder. */
    diskBytes: z.int().min(1).optional(),
    retry: retrySchema.optional(),
    limits: limitsSchema.default({}),
    share: shareSchema.prefault({}),
    swarm: swarmSchema.optional(),
    data: z.strictObject({ fields: namedFieldsSchema.optional() }).default({}),
  });

/** A trainer as the site registered it; `folder` is absolute. */
export type RegisteredTrainer = z.output<typeof trainerSchema>;

/** A site's configuration, checked. */
export interface SiteConfig {
  /** The path of the file, for messages. */
  readonly source: string;
  readonly trainers: Readonly<Record<string, RegisteredTrainer>>;
  /** Filters for every result that leaves the site, whatever the job says; in this order. */
  readonly filters: readonly Choice[];
  /** The most bytes that a server makes the site keep; undefined where the file does not say. */
  readonly diskBytes?: number | undefined;
  /** How long a server that is away is looked for, in ms, `Infinity` for ever; undefined where the file does not say. */
  readonly retryMs?: number | undefined;
  /** Limits on what a job may ask of this site, and the choice of what leaves beside updates. */
  readonly limits: SiteLimits;
  readonly share: SiteShare;
  /** Where this site listens in a swarm, and the hosts that it connects to. */
  readonly swarm?: z.output<typeof swarmSchema> | undefined;
  /** How the built-in trainer reads this site's data. */
  readonly data: { readonly fields?: NamedFields | undefined };
}

/**
 * Reads and checks the file; `bad-argument` names its fault. Its filters are chosen from the table.
 */
export function readSiteConfig(path: string, table: Table<Filter> = builtInFilters): SiteConfig {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    if (cause instanceof SyntaxError) throw new FedStreamError('bad-argument', `${path} is not JSON: ${cause.message}`, { cause });
    throw ioError(cause, 'read', path);
  }
  const parsed = siteConfigSchema(table).safeParse(value);
  if (!parsed.success) {
    const what = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'the file'}: ${issue.message}`).join('; ');
    throw new FedStreamError('bad-argument', `${path}: ${what}; docs/site.md has the fields`);
  }
  const base = dirname(resolve(path));
  const trainers = Object.fromEntries(
    Object.entries(parsed.data.trainers).map(([name, trainer]) => [name, { ...trainer, folder: resolve(base, trainer.folder) }]),
  );
  const { filters, diskBytes, retry: retryMs, limits, share, swarm, data } = parsed.data;
  return { source: path, trainers, filters, diskBytes, retryMs, limits, share, swarm, data };
}

/** The trainer that a job names; throws `refused` if this site has none of that name. */
export function registeredTrainer(config: SiteConfig | undefined, name: string): RegisteredTrainer {
  const trainer = config && Object.hasOwn(config.trainers, name) ? config.trainers[name] : undefined;
  if (trainer) return trainer;
  const known = config ? `${config.source} has ${Object.keys(config.trainers).join(', ') || 'none'}` : 'name its file with --site-config';
  throw new FedStreamError('refused', `the job asks for the trainer "${name}", which this site has not registered: ${known}`);
}

/**
 * The values of placeholders in commands and environments; undefined if the site has no such value.
 */
export type Placeholders = Readonly<Record<'data' | 'validation' | 'site' | 'work', string | undefined>>;

/** Fills the placeholders in; throws `bad-argument` for one without a value. */
export function fillPlaceholders(value: string, placeholders: Placeholders): string {
  return value.replace(/\{(data|validation|site|work)\}/g, (_, name: keyof Placeholders) => {
    const found = placeholders[name];
    if (found !== undefined) return found;
    throw new FedStreamError('bad-argument', `a trainer's command has {${name}}, and this site was given no --${name}`);
  });
}
