// State dicts beside the model: in float32, each through the filters and coding that the job has
// for its name.
import type { CodecTable } from '../codec/codec.js';
import { inFloat32, refuseUnaveraged } from '../codec/float32.js';
import { decodeModel, encodeModel } from '../codec/quantize.js';
import type { Table } from '../core/row.js';
import { ownFilters } from '../filter/chain.js';
import { applyFilters, type Filter, type FilterPoint, filteredManifest } from '../filter/filter.js';
import { encodingByPolicy } from '../filter/policy.js';
import type { Job } from '../job/job.js';
import type { Manifest } from '../tensor/manifest.js';
import type { NamedDicts } from '../tensor/named-dicts.js';
import type { StateDict } from '../tensor/state-dict.js';

/** The job, site and round of some extras, and the tables that the job's names are looked up in. */
export interface ExtrasSetting {
  readonly job: Job;
  readonly codecs: CodecTable;
  /** The filters that the job may name. */
  readonly filters: Table<Filter>;
  readonly site: string;
  readonly round: number;
}

/**
 * Prepares extras for sending, at `task-out` or `result-out`: filtered, then coded; lazy. An extra
 * that the job does not mention travels as it is. Rejects with `unsupported` where a tensor's dtype
 * cannot be averaged.
 */
export function codedExtras(extras: NamedDicts, point: FilterPoint, setting: ExtrasSetting): Promise<NamedDicts> {
  const { job, codecs } = setting;
  return mapped(extras, async (dict, name) => {
    const floats = inFloat32(dict);
    refuseUnaveraged(floats.manifest, `the extra ${name}`);
    const values = await filtered(decodeModel(floats, codecs), name, point, setting);
    const { quantize } = ruleOf(job, name);
    return quantize === undefined ? values : encodeModel(values, encodingByPolicy(quantize, codecs), codecs);
  });
}

/**
 * Accepts extras, at `task-in` or `result-in`: decoded to float32 while they are read, then
 * filtered; lazy.
 */
export function decodedExtras(extras: NamedDicts, point: FilterPoint, setting: ExtrasSetting): Promise<NamedDicts> {
  return mapped(extras, (dict, name) => filtered(decodeModel(inFloat32(dict), setting.codecs), name, point, setting));
}

/**
 * The manifest of an extra as a site sends it: without tensors that the job's filters leave out.
 */
export function sentManifest(name: string, manifest: Manifest, { job, filters }: Pick<ExtrasSetting, 'job' | 'filters'>): Manifest {
  return filteredManifest(manifest, ownFilters(filtersOf(job, name), 'result-out', filters));
}

function filtered(dict: StateDict, name: string, point: FilterPoint, setting: ExtrasSetting): Promise<StateDict> {
  const { job, codecs, filters, site, round } = setting;
  const context = { point, site, round, codecs, count: () => {} };
  return applyFilters(dict, ownFilters(filtersOf(job, name), point, filters), context);
}

function filtersOf(job: Job, name: string) {
  return { quantize: job.quantize, filters: ruleOf(job, name).filters ?? {} };
}

function ruleOf({ extras }: Job, name: string): Partial<Job['extras'][string]> {
  return (Object.hasOwn(extras, name) ? extras[name] : undefined) ?? {};
}

async function mapped(extras: NamedDicts, change: (dict: StateDict, name: string) => Promise<StateDict>): Promise<NamedDicts> {
  const made: Record<string, StateDict> = {};
  for (const [name, dict] of Object.entries(extras)) made[name] = await change(dict, name);
  return made;
}
