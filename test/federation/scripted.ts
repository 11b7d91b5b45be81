// Federations inside one process, with models of several dtypes and scripted trainers.

import { createHash } from 'node:crypto';
import type { CodecTable } from '../../src/codec/codec.js';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { masterOf } from '../../src/codec/float32.js';
import { decodeModel } from '../../src/codec/quantize.js';
import { silentLogger } from '../../src/core/log.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Folder } from '../../src/core/storage.js';
import { memory } from '../../src/driver/memory.js';
import { runServer } from '../../src/hub/server.js';
import type { JobInput } from '../../src/job/job.js';
import { kitWith, parseJob } from '../../src/kit/kit.js';
import type { EventBody } from '../../src/record/events.js';
import { RUN_ID_FILE } from '../../src/record/run-id.js';
import { openGlobalModel, writeGlobalModel } from '../../src/server/global-models.js';
import { runClient } from '../../src/site/client.js';
import type { Base } from '../../src/site/find-base.js';
import type { SitePolicy } from '../../src/site/policy.js';
import { runsIn } from '../../src/site/run-place.js';
import type { ServerLink } from '../../src/site/server-link.js';
import { siteLink } from '../../src/site/site-link.js';
import type { Dtype } from '../../src/tensor/dtype.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import type { NamedDicts } from '../../src/tensor/named-dicts.js';
import { openSafetensors } from '../../src/tensor/safetensors.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import { narrowInto, widenInto } from '../../src/tensor/widen.js';
import type { Fingerprints } from '../../src/trainer/fingerprints.js';
import type { Metrics, Trainer, TrainTask } from '../../src/trainer/trainer.js';
import type { Workflow } from '../../src/workflow/federation.js';

/** Values by tensor. */
export type Values = Readonly<Record<string, Float32Array>>;

const SHARED = { errors: true, steps: true };

/** Shapes by tensor. */
export type Shapes = Readonly<Record<string, readonly number[]>>;

const SHAPES: Shapes = { w: [64, 48], norm: [1500] };

/** A model of these values in a dtype, which may be F64. */
export function modelOf(values: Values, dtype: Dtype, shapes: Shapes = SHAPES): StateDict {
  return memoryStateDict(
    Object.entries(values).map(([name, data]) => ({ name, dtype, shape: shapes[name] ?? [data.length], data: bytesOf(data, dtype) })),
  );
}

function bytesOf(values: Float32Array, dtype: Dtype): Uint8Array {
  if (dtype === 'F64') return new Uint8Array(Float64Array.from(values).buffer);
  return narrowInto(dtype, values, new Uint8Array(4 * values.length));
}

export async function valuesOf(model: StateDict): Promise<Record<string, Float32Array>> {
  const found: Record<string, Float32Array> = {};
  for await (const { tensor, bytes } of model.chunks())
    found[tensor.name] = widenInto(tensor.dtype, bytes, new Float32Array(bytes.length)).slice();
  return found;
}

/** Seeded values as large as weights are. */
export function someValues(seed: number, scale = 0.1): Record<string, Float32Array> {
  const values = (count: number, shift: number) =>
    Float32Array.from({ length: count }, (_, i) => Math.sin(i * 12.9898 + seed * 78.233 + shift) * scale);
  return { w: values(64 * 48, 0), norm: values(1500, 1) };
}

/** Values alone, or with state dicts beside them. */
export type Learnt = Values | { readonly values: Values; readonly extras: Readonly<Record<string, StateDict>> };

export interface ScriptedSite {
  /** Returns the result for a model, in `dtype`, by default that of the model. */
  learn(given: Values, round: number, task?: TrainTask): Learnt | Promise<Learnt>;
  readonly dtype?: Dtype;
  readonly samples?: number;
  /** What the site tells of its training. */
  readonly fingerprints?: Fingerprints | (() => Promise<Fingerprints>);
  readonly bases?: readonly Base[];
  readonly policy?: SitePolicy;
  /** Replaces what the site sends, for one that does not keep to the protocol. */
  tampered?(link: ServerLink): ServerLink;
  evaluate?(given: Values, extras?: NamedDicts): Metrics | Promise<Metrics>;
  /** What its trainer tells that it knows. */
  readonly knows?: readonly string[];
  /** Figures of a personal model. */
  readonly personal?: Metrics;
  /** The steps that it says a round has; 1 by default. */
  readonly steps?: number;
}

export interface Scripted {
  readonly dtype?: Dtype;
  readonly start?: Values;
  /** Shapes of `start`, for tensors of other names than those of `someValues`. */
  readonly shapes?: Shapes;
  readonly run?: Folder;
  /** The sites' own folders, for a run that is resumed. */
  readonly folders?: Record<string, Folder>;
  readonly stop?: AbortController;
  readonly codecs?: CodecTable;
  /** By default the workflow that the job names. */
  readonly workflow?: Workflow;
  /** Evaluates on the server; by default the sites evaluate. */
  evaluate?(given: Values): Metrics;
  /** Of the model folder that the server begins with. */
  readonly fingerprints?: Fingerprints;
  /** Called on the server's events. */
  onEvent?(event: EventBody): void;
}

export async function federate(input: JobInput, sites: Record<string, ScriptedSite>, setting: Scripted = {}) {
  const { run = memoryFolder('run'), folders = {}, stop = new AbortController(), dtype = 'F32', start = someValues(1) } = setting;
  const { codecs = referenceCodecs } = setting;
  const job = parseJob({ rounds: 1, sites: Object.keys(sites), idleMs: 2000, ...input }, 'test', kitWith({ codecs }));
  if ((await run.list('global')).length === 0)
    await writeGlobalModel(run, 0, decodeModel(masterOf(modelOf(start, dtype, setting.shapes)), referenceCodecs));
  const driver = memory();
  const events: EventBody[] = [];
  const url = 'memory://server';
  const common = { codecs, log: silentLogger, driver, url, signal: stop.signal };
  const clients: Promise<string>[] = [];
  const join = (site: string): void => {
    const scripted = sites[site] as ScriptedSite;
    folders[site] ??= memoryFolder(site);
    const folder = folders[site] as Folder;
    const honest = siteLink({ ...common, site, folder, share: SHARED, retryMs: 500 });
    const link = scripted.tampered?.(honest) ?? honest;
    const memoryUse = () => ({ rssBytes: 1, peakRssBytes: 2 });
    const client = {
      ...common,
      site,
      link,
      folder,
      bases: scripted.bases ?? [],
      // One process is both sides here, and the tests read why a site failed.
      policy: { filters: [], share: SHARED, ...scripted.policy },
      memory: memoryUse,
      makeTrainer: async () => trainerOf(scripted),
    };
    const ended = runClient(client).finally(() => link.close());
    ended.catch(() => {});
    clients.push(ended);
  };
  const emit = (event: EventBody): void => {
    events.push(event);
    setting.onEvent?.(event);
  };
  const onListening = (): void => Object.keys(sites).forEach(join);
  const { evaluate, workflow } = setting;
  const evaluator = evaluate && trainerOf({ learn: (given) => given, evaluate });
  const running = runServer({
    ...(workflow && { workflow }),
    ...common,
    listeners: [common],
    job,
    run,
    files: {},
    emit,
    evaluator,
    fingerprints: setting.fingerprints,
    onListening,
  });
  // Sites that were cut off have ended before others use their folders.
  await Promise.allSettled([running]);
  await Promise.allSettled(clients);
  const result = await running;
  return { result, events, run, folders, master: async (round: number) => valuesOf(await openGlobalModel(run, round)) };
}

function isBoth(learnt: Learnt): learnt is Exclude<Learnt, Values> {
  return 'extras' in learnt && !(learnt.extras instanceof Float32Array);
}

/** The trainer of a scripted site. */
export function trainerOf({ learn, dtype, samples = 1, steps = 1, evaluate, fingerprints = {}, knows, personal }: ScriptedSite): Trainer {
  return {
    fingerprints: async () => (typeof fingerprints === 'function' ? fingerprints() : fingerprints),
    async train(task: TrainTask, model: StateDict) {
      const own = model.manifest.tensors[0]?.dtype as Dtype;
      const answer = await learn(await valuesOf(model), task.round, task);
      const { values: learnt, extras } = isBoth(answer) ? answer : { values: answer };
      task.onStep({ step: task.round, loss: 1, learningRate: 1, tokens: 1 });
      const shapes = Object.fromEntries(model.manifest.tensors.map(({ name, shape }) => [name, shape]));
      return {
        model: modelOf(learnt, dtype ?? own, shapes),
        samples,
        steps,
        trainLoss: 1,
        ...(personal && { personal }),
        ...(extras && { extras }),
      };
    },
    knows: async () => knows,
    evaluate: async (model, _, progress) => evaluate?.(await valuesOf(model), progress?.extras),
    close: async () => {},
  };
}

/** The values that a site, or the server, holds now; undefined if none. */
export async function heldIn(folder: Folder): Promise<Record<string, Float32Array> | undefined> {
  const held = await heldFolder(folder);
  const names = (await held.list()).filter((name) => name.endsWith('.safetensors'));
  const name = names.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1);
  return name === undefined ? undefined : valuesOf(await openSafetensors(held, name));
}

/** The folder of held models: the server's own, or that of a site's one run. */
export async function heldFolder(folder: Folder): Promise<Folder> {
  const run = (await runsIn(folder)).find((name) => name !== RUN_ID_FILE);
  return (run === undefined ? folder : folder.folder(run)).folder('held');
}

/** A digest of the bits of each tensor. */
export function bitsOf(values: Values | undefined): Record<string, string> {
  const digest = (data: Float32Array): string =>
    createHash('sha256')
      .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
      .digest('hex');
  return Object.fromEntries(Object.entries(values ?? {}).map(([name, data]) => [name, digest(data)]));
}

/** Rounds every value to bfloat16. */
export function inBf16(values: Float32Array): Float32Array {
  return widenInto('BF16', narrowInto('BF16', values, new Uint8Array(2 * values.length)), new Float32Array(values.length));
}
