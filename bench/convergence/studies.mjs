// The studies of bench/convergence.mjs as data: seeds, arms, and the job and samples of each run.
import { createHash } from 'node:crypto';
import { siteNames } from '../../dist/job/job.js';
import { parseJob } from '../../dist/kit/kit.js';
import { generateTasks, splitByFamily } from '../../dist/trainer/data/generate/generate-tasks.js';
import { holdOut, splitSamples } from '../../dist/trainer/data/split.js';
import { ATTACKS, attackedData, hasRun, RULES } from './attacks.mjs';
import { halvesOf } from './text.mjs';

const BATCH = 16;
/**
 * Some 130,000 parameters: small enough for a core to train a few rounds in ten seconds, large
 * enough for matrices of many blocks in each codec.
 */
const MODEL = { hiddenSize: 64, layers: 2, heads: 4, kvHeads: 2, ffnSize: 176, vocabularySize: 512 };
const TRAIN = { localSteps: 40, batchSize: BATCH, maxTokens: 40, learningRate: 2e-3 };
/** For text, which is longer. */
const TEXT_TRAIN = { ...TRAIN, localSteps: 10, batchSize: 8, maxTokens: 96 };
const HELD_OUT = 300;
const SAMPLES = 3000;

/**
 * The same batches in two halves: the same mathematics, summed in another order. It shows how much
 * runs differ without any coding.
 */
const floor = { quantize: 'fp32', train: { batchSize: BATCH / 2, accumulate: 2 } };
const coded = (quantize) => ({ quantize });

/** A pass over a site's own data in each round, in place of steps. */
const PASSES = { localSteps: undefined, localEpochs: 1 };

/** The changes of each arm to the job. */
const ARMS = {
  fp32: coded('fp32'),
  floor,
  bf16: coded('bf16'),
  blockwise8: coded('blockwise8'),
  nf4: coded('nf4'),
  fp4: coded('fp4'),
  u4: coded('u4'),
  u3: coded('u3'),
  u2: coded('u2'),
  lean: coded('lean'),
  'u1-feedback': coded({ down: 'u4', up: 'u1', feedback: true }),
  u1: coded('u1'),
  'nf4-first': coded({ first: 'nf4', down: 'nf4', up: 'nf4', feedback: true }),
  'paper:nf4': coded('paper:nf4'),
  'paper:blockwise8': coded('paper:blockwise8'),
  fedProx: { quantize: 'fp32', workflow: { type: 'fedProx', mu: 0.01 } },
  scaffold: { quantize: 'fp32', workflow: 'scaffold' },
  diloco: { quantize: 'fp32', algorithm: 'diloco' },
  // Sites of uneven data take uneven steps only in passes: FedNova is compared with those.
  'fp32-epochs': { quantize: 'fp32', train: PASSES },
  fedNova: { quantize: 'fp32', workflow: 'fedNova', train: PASSES },
  ...RULES,
};

/** Families that the trained model of study P knows; the others are new to it. */
const KNOWN = new Set(['capitals', 'opposites', 'larger number', 'young animals', 'days', 'word in a list', 'colours']);

/** Studies by name. */
export const STUDIES = {
  S: {
    title: 'a small model from random weights, three sites that differ in kind',
    seeds: 8,
    arms: [
      'fp32',
      'floor',
      'bf16',
      'blockwise8',
      'nf4',
      'fp4',
      'u4',
      'u3',
      'u2',
      'lean',
      'u1-feedback',
      'u1',
      'paper:nf4',
      'paper:blockwise8',
    ],
    settings: [{}],
    job: { rounds: 5, sites: 3, model: MODEL, train: TRAIN },
    dataOf: ({ seed }, sites) => shared(generateTasks(seed, SAMPLES), seed, (training) => splitByFamily(training, sites, seed)),
  },
  P: {
    title: 'a trained model that goes on with other families of tasks, three sites that differ',
    seeds: 6,
    arms: ['fp32', 'floor', 'u4', 'u2', 'lean', 'nf4', 'nf4-first', 'paper:nf4'],
    settings: [{}],
    base: 'families',
    job: { rounds: 4, sites: 3, train: { ...TRAIN, learningRate: 5e-4 } },
    dataOf({ seed }, sites) {
      return shared(mixedTasks(seed), seed, (training) => splitSamples(training, sites, { dirichlet: 0.5 }, seed));
    },
  },
  N: {
    title: 'strongly uneven sites, from random weights, split by Dirichlet',
    seeds: 5,
    arms: ['fp32', 'floor', 'u4', 'lean', 'fedProx', 'scaffold', 'diloco', 'fp32-epochs', 'fedNova'],
    settings: [{ alpha: 0.1 }, { alpha: 0.05 }],
    job: { rounds: 5, sites: 3, model: MODEL, train: TRAIN },
    dataOf: ({ seed, alpha }, sites) =>
      shared(generateTasks(seed, SAMPLES), seed, (training) => splitSamples(training, sites, { dirichlet: alpha }, seed)),
  },
  A: {
    title: 'one site of five lies, and rules that stand it',
    seeds: 5,
    arms: Object.keys(RULES),
    settings: ATTACKS.map((attack) => ({ attack })),
    base: 'families',
    job: { rounds: 4, sites: 5, quorum: 5, train: { ...TRAIN, learningRate: 5e-4 } },
    dataOf({ seed, attack }, sites) {
      const data = shared(mixedTasks(seed), seed, (training) => splitSamples(training, sites, 'iid', seed));
      return { ...data, bySite: attackedData(attack, data.bySite, seed) };
    },
  },
  T: {
    title: 'one site of five lies about real text',
    seeds: 5,
    arms: ['fedAvg', 'median', 'trimmedMean', 'multiKrum', 'clippedMean'],
    settings: ['none', 'reversed', 'noise', 'another task'].map((attack) => ({ attack })),
    base: 'text',
    needsText: true,
    job: { rounds: 4, sites: 5, quorum: 5, train: { ...TEXT_TRAIN, learningRate: 5e-4 } },
    async dataOf({ seed, attack }, sites, text) {
      const { second } = await halvesOf(text);
      const data = shared(second, seed, (training) => splitSamples(training, sites, 'iid', seed));
      return { ...data, bySite: attackedData(attack, data.bySite, seed) };
    },
  },
};

/** Names of the arms, in order. */
export const ARM_NAMES = Object.keys(ARMS);

/** Tasks of all families, of those that the trained model knows every other one. */
function mixedTasks(seed) {
  return generateTasks(seed, 2 * SAMPLES).filter(({ category }, i) => !KNOWN.has(category) || i % 2 === 0);
}

function shared(samples, seed, split) {
  const { training, validation } = holdOut(samples, 0.1, HELD_OUT, seed);
  return { bySite: split(training), validation };
}

/** The job of a run, with `base` as its model if the study starts from a trained one. */
export function jobOf({ study, arm, seed }, base) {
  const { job, base: trained } = STUDIES[study];
  const { train, ...coding } = ARMS[arm];
  const model = trained ? { model: { path: base } } : {};
  return { ...job, ...model, ...coding, seed, train: { ...job.train, ...train } };
}

/** The data of a run, by site, with validation samples; `text` is the file of studies of text. */
export async function dataOf(run, job, text) {
  return STUDIES[run.study].dataOf(run, siteNames(parseJob(job, 'the study')), text);
}

const BASE_JOB = { seed: 2026, rounds: 6, sites: 3, model: MODEL, quantize: 'fp32' };

/** The trainings of the models that studies go on from, in fp32; the same on every machine. */
const BASES = {
  /** Of the known families. */
  families: {
    job: { ...BASE_JOB, train: { ...TRAIN, localSteps: 60, learningRate: 4e-3 } },
    content: () => [SAMPLES, [...KNOWN]],
    samples: ({ seed }) => generateTasks(seed, 2 * SAMPLES).filter(({ category }) => KNOWN.has(category)),
  },
  /** Of the first half of a file of text. */
  text: {
    job: { ...BASE_JOB, train: { ...TEXT_TRAIN, localSteps: 200, learningRate: 1.5e-3 } },
    content: ({ sha256 }) => [sha256],
    samples: async (_, text) => (await halvesOf(text)).first,
  },
};

/** The name of a model in the cache, which depends on all settings of its training. */
export function baseName(base, text) {
  const { job, content } = BASES[base];
  const settings = JSON.stringify([job, ...content(text)]);
  return `base-${createHash('sha256').update(settings).digest('hex').slice(0, 12)}`;
}

/** Job and data of the training of a model. */
export async function baseTraining(base, text) {
  const { job, samples } = BASES[base];
  const sites = siteNames(parseJob(job, 'the base'));
  const data = shared(await samples(job, text), job.seed, (training) => splitSamples(training, sites, 'iid', job.seed));
  return { job, data };
}

/** The runs in order, seed by seed, so that a study that is stopped has complete sets of arms. */
export function planOf({ study, arms, seeds }) {
  return study.flatMap((name) => {
    const { settings, seeds: count, arms: own } = STUDIES[name];
    const wanted = arms ? own.filter((arm) => arms.includes(arm)) : own;
    return (seeds ?? Array.from({ length: count }, (_, i) => i + 1)).flatMap((seed) =>
      settings.flatMap((setting) => wanted.map((arm) => ({ study: name, ...setting, arm, seed })).filter(hasRun)),
    );
  });
}

/** The key of a run: rows with the same key are of the same run. */
export const keyOf = ({ study, alpha, attack, arm, seed }) =>
  JSON.stringify([study, alpha ?? null, arm, seed, ...(attack ? [attack] : [])]);
/** A run in words, for messages. */
export const textOf = ({ study, alpha, attack, arm, seed }) =>
  `${study}${alpha === undefined ? '' : ` alpha ${alpha}`}${attack === undefined ? '' : ` ${attack}`} ${arm} seed ${seed}`;

export { liarOf } from './attacks.mjs';
