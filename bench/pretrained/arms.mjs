// The sizes and arms of bench/pretrained.mjs as data.

const coded = (quantize) => ({ quantize });

/**
 * The changes of each arm to the job. `accumulate` takes the same batches in parts: the same
 * mathematics, rounded in another order.
 */
export const ARMS = {
  fp32: coded('fp32'),
  floor: { quantize: 'fp32', accumulate: 2 },
  lean: coded('lean'),
  u4: coded('u4'),
  u3: coded('u3'),
  u2: coded('u2'),
  nf4: coded('nf4'),
  fp4: coded('fp4'),
  blockwise8: coded('blockwise8'),
  bf16: coded('bf16'),
  'nf4-first': coded({ first: 'nf4', down: 'nf4', up: 'nf4', feedback: true }),
  'u1-feedback': coded({ down: 'u4', up: 'u1', feedback: true }),
  'paper:fp16': coded('paper:fp16'),
  'paper:bf16': coded('paper:bf16'),
  'paper:blockwise8': coded('paper:blockwise8'),
  'paper:fp4': coded('paper:fp4'),
  'paper:nf4': coded('paper:nf4'),
  mild: { algorithm: 'mild', quantize: 'fp32' },
  'mild-lean': { algorithm: 'mild', quantize: 'lean' },
  diloco: { algorithm: 'diloco', quantize: 'fp32', train: { optimizerState: 'keep' } },
  'diloco-lean': { algorithm: 'diloco', quantize: 'lean', train: { optimizerState: 'keep' } },
};

/** The arms of the sizes that train an adapter: the ways of averaging it. */
const LORA_ARMS = {
  factors: { lora: 'factors', quantize: 'fp32' },
  ffa: { lora: 'ffa', quantize: 'fp32' },
  exact: { lora: 'exact', quantize: 'fp32' },
  svd: { lora: 'svd', quantize: 'fp32' },
  'factors-u4': { lora: 'factors', quantize: 'u4' },
  'ffa-u4': { lora: 'ffa', quantize: 'u4' },
  'exact-u4': { lora: 'exact', quantize: 'u4' },
  'svd-u4': { lora: 'svd', quantize: 'u4' },
};

/** Names of the arms, in order. */
export const ARM_NAMES = [...Object.keys(ARMS), ...Object.keys(LORA_ARMS)];

/** Studies by size. */
export const SIZES = {
  /** A trial of the whole benchmark, with meaningless losses. */
  tiny: {
    sitesOfKind: 1,
    rounds: 2,
    localSteps: 2,
    batchSize: 2,
    maxTokens: 64,
    heldOut: 4,
    samplesOfSite: 16,
    arms: ['fp32', 'nf4'],
    seeds: [11],
  },
  /**
   * Three arms in a quarter of an hour on two cores of 33 GFLOP/s, on which 2 × 128 tokens take a
   * site 8 s.
   */
  cpu: {
    sitesOfKind: 1,
    rounds: 3,
    localSteps: 8,
    batchSize: 2,
    maxTokens: 128,
    heldOut: 16,
    samplesOfSite: 400,
    arms: ['fp32', 'lean', 'paper:nf4'],
    seeds: [11],
  },
  gpu: {
    sitesOfKind: 2,
    rounds: 5,
    localSteps: 25,
    batchSize: 16,
    maxTokens: 256,
    heldOut: 256,
    samplesOfSite: 3000,
    arms: Object.keys(ARMS),
    seeds: [11, 12, 13],
  },
  /** A trial of the arms with an adapter. */
  'lora-tiny': {
    sitesOfKind: { a: 2, b: 1 },
    rounds: 2,
    localSteps: 2,
    batchSize: 2,
    maxTokens: 64,
    heldOut: 4,
    samplesOfSite: 16,
    adapter: { rank: 4, alpha: 8 },
    arms: ['factors', 'ffa', 'exact', 'svd'],
    seeds: [11],
  },
  /** LoRA on all linear layers; four arms in a quarter of an hour on two cores. */
  'lora-cpu': {
    sitesOfKind: { a: 2, b: 1 },
    rounds: 3,
    localSteps: 8,
    batchSize: 2,
    maxTokens: 128,
    heldOut: 16,
    samplesOfSite: 1500,
    adapter: { rank: 16, alpha: 32 },
    arms: ['factors', 'ffa', 'exact', 'svd'],
    seeds: [11],
  },
};

const LEARNING_RATE = 5e-5;
/** An adapter begins at zero, and takes larger steps. */
const ADAPTER_LEARNING_RATE = 1e-3;

const armOf = (arm, size) => (SIZES[size].adapter ? LORA_ARMS : ARMS)[arm];

/** The arms that a size can have. */
export const armsOf = (size) => Object.keys(SIZES[size].adapter ? LORA_ARMS : ARMS);

/** The number of sites with a kind of data. */
export const sitesOf = ({ sitesOfKind }, kind) => (typeof sitesOfKind === 'number' ? sitesOfKind : sitesOfKind[kind]);

/** The job of a run. The sites' program reads from it the settings that all sites share. */
export function jobOf({ arm, seed }, size, { model, files }) {
  const { accumulate, train, ...changes } = armOf(arm, size);
  const { rounds, localSteps, adapter } = SIZES[size];
  return {
    seed,
    rounds,
    trainer: { name: 'sft' },
    // Of an adapter the base is at every site; the first one offers what it begins with.
    model: adapter ? 'offered' : { path: model },
    data: { files },
    validationFraction: 0,
    ...changes,
    // All sites or none: a round without one would be another study. The time limit is long because
    // loading and evaluating a model report no progress.
    quorum: Object.keys(files).length,
    stragglerMs: 1_200_000,
    train: { localSteps, optimizerState: 'reset', ...train },
  };
}

/** The arguments of sft.py; the site fills in the braces (docs/site.md). */
export function programArguments({ arm, seed }, size, { model, folder }) {
  const { batchSize, maxTokens, adapter } = SIZES[size];
  const { accumulate = 1 } = armOf(arm, size);
  const options = {
    model,
    data: '{data}',
    'held-out': `${folder}/held-out-{site}.jsonl`,
    output: '{work}',
    site: '{site}',
    seed,
    'batch-size': batchSize / accumulate,
    accumulate,
    'learning-rate': adapter ? ADAPTER_LEARNING_RATE : LEARNING_RATE,
    'max-length': maxTokens,
    ...(adapter && { rank: adapter.rank, alpha: adapter.alpha }),
  };
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
}

/** The key of a run: rows with the same key are of the same run. */
export const keyOf = ({ size, dtype, data, arm, seed }) =>
  JSON.stringify([size, dtype, Object.values(data).map(({ name, sha256 }) => sha256 ?? name), arm, seed]);
