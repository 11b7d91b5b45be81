// Prepares a run folder: the job, tokenizer, initial model, and data of sites and evaluation.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { refuseUnaveraged } from '../../codec/float32.js';
import { FedStreamError } from '../../core/errors.js';
import { jsonText } from '../../core/json-text.js';
import { writeText } from '../../core/storage-text.js';
import { type Job, siteNames } from '../../job/job.js';
import { BASE_FOLDER, writeGlobalModel, writeInitialModel } from '../../server/global-models.js';
import { DEFAULT_LIMITS } from '../../site/limits.js';
import type { Dtype } from '../../tensor/dtype.js';
import { noteDtypes } from '../../tensor/own-dtypes.js';
import { withManifest } from '../../tensor/state-dict.js';
import { OFFERED_FILES } from '../../trainer/bridge/messages.js';
import { type Encoded, encodeSamples } from '../../trainer/data/encode-sample.js';
import { generateTasks, splitByFamily } from '../../trainer/data/generate/generate-tasks.js';
import type { ReadOptions } from '../../trainer/data/parse-data.js';
import type { Sample } from '../../trainer/data/sample.js';
import { holdOut, splitSamples } from '../../trainer/data/split.js';
import {
  checkLlamaConfig,
  type LlamaConfig,
  llamaConfigJson,
  type PlainLlamaConfig,
  parseLlamaConfig,
} from '../../trainer/llama/config.js';
import { checkPositions, longSamplesWarning } from '../../trainer/llama/positions.js';
import { tokenizerConfigJson, tokenizerJson } from '../../trainer/tokenizer/tokenizer-json.js';
import { trainBpe } from '../../trainer/tokenizer/train-bpe.js';
import { nodeCodecs } from '../codec/codecs.js';
import { findModel, type ModelPlace } from '../model/find-model.js';
import { openStartModel, startTexts } from '../model/start-model.js';
import { nodeFolder } from '../storage/node-folder.js';
import { startLlamaEngine } from '../trainer/llama-host.js';
import { configuration, tokenizerTexts } from '../trainer/model-texts.js';
import { startTokenizer } from '../trainer/tokenizer-host.js';
import { readDataFile, readDataRows, writeDataFile, writeDataRows } from './data-files.js';

/** The text files of a model folder, beside its weights. */
export const MODEL_TEXTS = [
  'config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
  ...OFFERED_FILES.filter((name) => name !== 'config.json'),
] as const;
/** The files that the built-in trainer cannot do without. */
const NEEDED_TEXTS: readonly string[] = ['config.json', 'tokenizer.json'];

/** The data that a run begins with, by site, and the samples held out for evaluation. */
export interface RunData {
  readonly bySite: ReadonlyMap<string, readonly Sample[]>;
  readonly validation: readonly Sample[];
  /** Rows for trainers of the sites' own, which read whatever shape they have. */
  readonly rows?: RunRows;
}

/** Rows of JSON that are not read here; a site without any reads its own file as it is. */
interface RunRows {
  readonly bySite: ReadonlyMap<string, readonly string[]>;
  readonly validation: readonly string[];
}

/**
 * Reads or generates the job's data, holds some out for evaluation, and shares the rest out among
 * the sites. Data for a trainer of the sites' own are not read further than to their rows.
 */
export async function loadRunData(job: Job, read: Pick<ReadOptions, 'onSkipped'> & PrepareOptions = {}): Promise<RunData> {
  // A server without a model evaluates none: the sites hold data out themselves.
  if (read.withoutModel) return loadRunData({ ...job, validationFraction: 0 }, { onSkipped: read.onSkipped });
  const { data, seed } = job;
  if ('generated' in data) {
    const { training, validation } = hold(job, generateTasks(seed, data.generated));
    return { bySite: splitByFamily(training, siteNames(job), seed), validation };
  }
  if (job.trainer) return { bySite: new Map(), validation: [], rows: await loadRows(job, data) };
  return sharedOut(job, data, (path) => readDataFile(path, { ...read, fields: data.fields }));
}

type DataFiles = Exclude<Job['data'], { readonly generated: number }>;

function hold<Item>(job: Job, items: readonly Item[]) {
  return holdOut(items, job.validationFraction, job.validationSamples, job.seed);
}

async function loadRows(job: Job, data: DataFiles): Promise<RunRows> {
  const textsOf = (rows: readonly DataRow[]) => rows.map(({ answer }) => answer);
  const { bySite, validation } = await sharedOut(job, data, async (path) => (await readDataRows(path))?.map(toDataRow));
  return { bySite: new Map([...bySite].map(([site, rows]) => [site, textsOf(rows)])), validation: textsOf(validation) };
}

/**
 * What each site gets, and what is held out: of its own file, or of one for all. `read` gives
 * undefined for a file that has nothing to share out; a site's own is then left to the site.
 */
async function sharedOut<Item extends Sample | DataRow>(job: Job, data: DataFiles, read: (path: string) => Promise<Item[] | undefined>) {
  const sites = siteNames(job);
  if ('path' in data) {
    const items = await read(data.path);
    if (!items)
      throw new FedStreamError(
        'bad-data',
        `${data.path} has no rows that can be shared out among the sites; give each site its own file: "data": {"files": {"${sites[0]}": …}}`,
      );
    const { training, validation } = hold(job, items);
    return { bySite: splitSamples(training, sites, data.split, job.seed), validation };
  }
  const bySite = new Map<string, Item[]>();
  const validation: Item[] = [];
  for (const site of sites) {
    const items = await read(data.files[site] as string);
    if (!items) continue;
    const held = hold(job, items);
    bySite.set(site, held.training);
    validation.push(...held.validation);
  }
  return { bySite, validation: validation.slice(0, job.validationSamples) };
}

/** A row as splits know it: its whole text in the place of an answer. */
interface DataRow {
  readonly answer: string;
  readonly category?: string;
}

function toDataRow(text: string): DataRow {
  let category: unknown;
  try {
    category = (JSON.parse(text) as { category?: unknown } | null)?.category;
  } catch {}
  return category === undefined || category === null || category === '' ? { answer: text } : { answer: text, category: String(category) };
}

/** The file that a site of a simulation reads: that of the run folder, or where there is none, the job's own. */
export function siteData(runPath: string, job: Job, site: string): string {
  const own = 'files' in job.data ? job.data.files[site] : undefined;
  const prepared = siteDataPath(runPath, site);
  return own === undefined || existsSync(prepared) ? prepared : resolve(own);
}

/** The path of a site's data in a run folder. */
function siteDataPath(runPath: string, site: string): string {
  return join(runPath, 'data', `${site}.jsonl`);
}

/** The path of the data for evaluation in a run folder. */
export function validationPath(runPath: string): string {
  return join(runPath, 'data', 'validation.jsonl');
}

/** Options of `prepareRun`. */
export interface PrepareOptions {
  /** True where the model is at the sites alone: the run has its texts, and no weights. */
  readonly withoutModel?: boolean;
}

/**
 * Writes everything that the server and the sites start from; resolves with the job, its open
 * settings filled in. `note` hears of what goes on all the same.
 */
export async function prepareRun(
  job: Job,
  runPath: string,
  data: RunData,
  note: (text: string) => void = () => {},
  { withoutModel = false }: PrepareOptions = {},
): Promise<Job> {
  const run = nodeFolder(runPath);
  const training = [...data.bySite.values()].flat();
  if (job.trainer || job.model === 'offered') return prepareTrainerRun(job, runPath, data, withoutModel);
  const place = 'path' in job.model ? await startPlace(job.model) : undefined;
  const base =
    'path' in job.model ? await copyBase(place as ModelPlace, job.model.path, runPath) : await newBase(job, job.model, training, runPath);
  const resolved = await resolveTraining(job, base, training, note).finally(() => base.close?.());
  writeRunData(runPath, data);
  if (!withoutModel) await writeEngineModel(resolved, base.config, place, runPath);
  await writeText(run, 'job.json', `${jsonText(resolved, 'job.json', 2)}\n`);
  return resolved;
}

/**
 * Prepares a run whose sites have their own trainer: only names and shapes of the model are read.
 * Without a model folder, a site will offer the model.
 */
async function prepareTrainerRun(job: Job, runPath: string, data: RunData, withoutModel: boolean): Promise<Job> {
  const run = nodeFolder(runPath);
  writeRunData(runPath, data);
  if (job.model !== 'offered' && 'path' in job.model) {
    const place = await startPlace(job.model);
    await copyTexts(place, runPath);
    if (!withoutModel) {
      const model = await openStartModel(place);
      await writeInitialModel(run, model, nodeCodecs());
      await model.close?.();
    }
  }
  await writeText(run, 'job.json', `${jsonText(job, 'job.json', 2)}\n`);
  return job;
}

function writeRunData(runPath: string, { bySite, validation, rows }: RunData): void {
  for (const [site, texts] of rows?.bySite ?? []) writeDataRows(siteDataPath(runPath, site), texts);
  if (rows && rows.validation.length > 0) writeDataRows(validationPath(runPath), rows.validation);
  for (const [site, samples] of bySite) writeDataFile(siteDataPath(runPath, site), samples);
  if (validation.length > 0) writeDataFile(validationPath(runPath), validation);
}

interface Base {
  readonly config: LlamaConfig;
  encode(samples: readonly Sample[], maxTokens: number): Promise<Encoded> | Encoded;
  close?(): Promise<void>;
}

/** Copies the texts of a Hugging Face folder into the run. */
async function copyBase(place: ModelPlace, path: string, runPath: string): Promise<Base> {
  const texts = await copyTexts(place, runPath);
  const missing = NEEDED_TEXTS.find((name) => texts[name] === undefined);
  if (missing !== undefined)
    throw new FedStreamError(
      'bad-model',
      `${path} has no ${missing}; a Hugging Face folder has config.json, model.safetensors and tokenizer.json`,
    );
  const config = parseLlamaConfig(configuration(texts, 'config.json'), `${path}/config.json`);
  const tokenizer = await startTokenizer(tokenizerTexts(texts, `${path}/tokenizer.json`));
  return { config, encode: (samples, maxTokens) => tokenizer.encode(samples, maxTokens), close: () => tokenizer.close() };
}

async function copyTexts(place: ModelPlace, runPath: string): Promise<Partial<Record<string, string>>> {
  const run = nodeFolder(runPath);
  const texts = await startTexts(place, MODEL_TEXTS);
  for (const [name, text] of Object.entries(texts)) if (text !== undefined) await writeText(run, `${BASE_FOLDER}/${name}`, text);
  return texts;
}

/** The place of the model that a job names. */
export function startPlace({ path, variant }: { readonly path: string; readonly variant?: string | undefined }): Promise<ModelPlace> {
  return findModel(path, { variant, download: true });
}

/** Makes a model from a configuration, and trains a tokenizer on the job's training data. */
async function newBase(
  job: Job,
  model: Extract<Job['model'], { hiddenSize: number }>,
  training: readonly Sample[],
  runPath: string,
): Promise<Base> {
  const run = nodeFolder(runPath);
  const texts = training.flatMap(({ prompt, answer }) => [prompt, answer]);
  const bpe = trainBpe(texts, model.vocabularySize);
  const files = { json: tokenizerJson(bpe), config: tokenizerConfigJson(MAX_POSITIONS) };
  // Its packages take long to load, and most commands make no model.
  const { loadTokenizer } = await import('../../trainer/tokenizer/tokenizer.js');
  const tokenizer = loadTokenizer(files.json, files.config, 'the trained tokenizer');
  const config: PlainLlamaConfig = {
    ...model,
    headDim: model.hiddenSize / model.heads,
    vocabularySize: tokenizer.vocabularySize,
    maxPositions: Math.max(MAX_POSITIONS, job.train.maxTokens ?? 0),
    // Large models use 0.02, which is so little at these sizes that training stands still for
    // hundreds of steps.
    initializerRange: 1 / Math.sqrt(model.hiddenSize),
  };
  checkLlamaConfig(config, 'model');
  await writeText(run, `${BASE_FOLDER}/config.json`, llamaConfigJson(config, { end: tokenizer.endToken, pad: tokenizer.padToken }));
  await writeText(run, `${BASE_FOLDER}/tokenizer.json`, files.json);
  await writeText(run, `${BASE_FOLDER}/tokenizer_config.json`, files.config);
  return { config, encode: (samples, maxTokens) => encodeSamples(tokenizer, samples, maxTokens) };
}

/** The positions of a new model; the rotary table costs nothing. */
const MAX_POSITIONS = 2048;
const LONGEST_DEFAULT = 256;
const TOKENS_A_BATCH = 2048;
/** Long enough to learn something in a round, and short enough that sites do not drift apart. */
const DEFAULT_LOCAL_STEPS = 60;

/**
 * Fills in the longest sample and the batch size if the job leaves them to the data; throws
 * `bad-data` if no sample fits.
 */
async function resolveTraining(job: Job, base: Base, training: readonly Sample[], note: (text: string) => void): Promise<Job> {
  const { examples, refused } = await base.encode(training, job.train.maxTokens ?? 131_072);
  if (refused.count > 0) note(`${refused.count} of ${training.length} samples are left out: ${refused.reason}`);
  if (refused.count > 0 && refused.count === training.length)
    throw new FedStreamError('bad-data', `none of ${training.length} samples can be used: ${refused.reason}`);
  const lengths = examples.map(({ tokens }) => tokens.length).sort((a, b) => a - b);
  if (lengths.length === 0)
    throw new FedStreamError('bad-data', `no sample has room for an answer within train.maxTokens = ${job.train.maxTokens}; raise it`);
  const most = lengths[Math.floor(lengths.length * 0.95)] as number;
  const maxTokens = job.train.maxTokens ?? Math.min(Math.ceil(most / 8) * 8, LONGEST_DEFAULT);
  checkPositions(base.config, maxTokens);
  const long = longSamplesWarning(
    base.config,
    lengths.map((length) => Math.min(length, maxTokens)),
  );
  if (long !== undefined) note(long);
  const batchSize = job.train.batchSize ?? Math.max(1, Math.min(32, Math.floor(TOKENS_A_BATCH / maxTokens)));
  // Long samples make small batches; sites want some samples in every step (docs/site.md).
  const { accumulate } = job.train;
  const enough = job.train.batchSize === undefined ? Math.max(accumulate, Math.ceil(DEFAULT_LIMITS.leastBatch / batchSize)) : accumulate;
  const { localEpochs, localSeconds } = job.train;
  const isOpen = localEpochs === undefined && localSeconds === undefined;
  const localSteps = job.train.localSteps ?? (isOpen ? DEFAULT_LOCAL_STEPS : undefined);
  return { ...job, train: { ...job.train, maxTokens, batchSize, accumulate: enough, localSteps } };
}

/**
 * Writes the model of round 0: seeded weights, or those of the folder, checked and widened to
 * float32 by the engine itself. The dtypes of the folder are noted in it.
 */
async function writeEngineModel(job: Job, config: LlamaConfig, place: ModelPlace | undefined, runPath: string): Promise<void> {
  const run = nodeFolder(runPath);
  const engine = await startLlamaEngine({
    config,
    size: { maxBatch: 1, maxSequence: 8, threads: 1 },
    optimizer: { ...job.train, weightDecay: 0 },
  });
  try {
    if (place) {
      const model = await openStartModel(place);
      refuseUnaveraged(model.manifest, place.path);
      await engine.load(model);
      const dtypes = new Map(model.manifest.tensors.map(({ name, dtype }) => [name, dtype]));
      await model.close?.();
      const weights = engine.weights();
      // Of two tied tensors the file may keep the other one.
      for (const [alias, name] of Object.entries(model.manifest.tied)) dtypes.set(alias, dtypes.get(name) as Dtype);
      const own = weights.manifest.tensors.map((tensor) => ({ ...tensor, dtype: dtypes.get(tensor.name) ?? tensor.dtype }));
      const { metadata } = noteDtypes({ ...weights.manifest, tensors: own });
      await writeGlobalModel(run, 0, withManifest(weights, { ...weights.manifest, metadata }));
      return;
    }
    engine.initialize(job.seed);
    await writeInitialModel(run, engine.weights(), nodeCodecs());
  } finally {
    await engine.close();
  }
}
