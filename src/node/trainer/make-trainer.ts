// Makes the built-in trainer from a job and the texts of a model folder, for sites and servers.
import { availableParallelism } from 'node:os';
import { FedStreamError } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';
import type { Folder } from '../../core/storage.js';
import type { Job } from '../../job/job.js';
import { builtInTrainer } from '../../trainer/built-in-trainer.js';
import type { Sample } from '../../trainer/data/sample.js';
import { TextCounts } from '../../trainer/data/text-counts.js';
import type { Example } from '../../trainer/example.js';
import { parseLlamaConfig } from '../../trainer/llama/config.js';
import { checkPositions, longSamplesWarning } from '../../trainer/llama/positions.js';
import { modelFingerprints } from '../../trainer/model-fingerprints.js';
import type { Trainer } from '../../trainer/trainer.js';
import { startLlamaEngine } from './llama-host.js';
import { checkMemory } from './model-memory.js';
import { configuration, tokenizerTexts } from './model-texts.js';
import { startTokenizer, type TokenizerHost } from './tokenizer-host.js';

/** The job, the model's texts and the data of a trainer. */
export interface MakeTrainerOptions {
  readonly job: Job;
  /** The texts of `config.json`, `tokenizer.json` and `tokenizer_config.json`, by name. */
  readonly files: Readonly<Record<string, string>>;
  readonly training: readonly Sample[];
  readonly validation: readonly Sample[];
  readonly threads?: number;
  readonly stateFolder?: Folder;
  /** The run that the trainer's control variate belongs to. */
  readonly run?: string;
  readonly log: Logger;
  /** Ends the encoding of the data. */
  readonly signal?: AbortSignal | undefined;
  /** The most memory that the model may take, in bytes; by default most of the machine's. */
  readonly mostMemoryBytes?: number | undefined;
}

/**
 * Makes a trainer with threads of its own; close it to end them. Rejects with `bad-model`,
 * `bad-job`, or `bad-data` if no sample fits.
 */
export async function makeTrainer(options: MakeTrainerOptions): Promise<Trainer> {
  const { job, files, log, threads = Math.min(availableParallelism(), 4), stateFolder, run, signal } = options;
  const config = parseLlamaConfig(configuration(files, 'config.json'), 'config.json');
  const { maxTokens, batchSize } = job.train;
  if (maxTokens === undefined || batchSize === undefined)
    throw new FedStreamError('bad-job', 'train.maxTokens and train.batchSize are open; the server fills them in');
  const size = { maxBatch: batchSize, maxSequence: Math.ceil(maxTokens / 8) * 8, threads, microBatches: job.train.accumulate };
  checkPositions(config, maxTokens);
  checkMemory(config, size, options.mostMemoryBytes);
  const encode = async (tokenizer: TokenizerHost, samples: readonly Sample[], what: string) => {
    const encoded = await tokenizer.encode(samples, maxTokens);
    const { skipped, truncated, lost, refused } = encoded;
    if (skipped + truncated > 0)
      log.warn(
        { skipped, truncated, samples: samples.length },
        `${skipped} prompts of the ${what} data were too long, and ${truncated} answers were cut at train.maxTokens = ${maxTokens}`,
      );
    if (refused.count > 0)
      log.warn(
        { refused: refused.count, samples: samples.length },
        `${refused.count} samples of the ${what} data are left out: ${refused.reason}`,
      );
    if (lost > 0)
      log.warn({ lost }, `${lost} answers of the ${what} data were not found in what the chat template makes of them, and are not learnt`);
    if (samples.length > 0 && refused.count === samples.length)
      throw new FedStreamError('bad-data', `none of ${samples.length} samples of the ${what} data can be used: ${refused.reason}`);
    if (samples.length > 0 && encoded.examples.length === 0)
      throw new FedStreamError('bad-data', `none of ${samples.length} samples fits into train.maxTokens = ${maxTokens}; raise it`);
    return encoded.examples;
  };
  const counts = new TextCounts();
  for (const samples of [options.training, options.validation]) for (const sample of samples) counts.add(sample);
  const tokenizer = await startTokenizer({ ...tokenizerTexts(files, 'tokenizer.json'), signal });
  let training: readonly Example[];
  let validation: readonly Example[];
  try {
    training = await encode(tokenizer, options.training, 'training');
    validation = await encode(tokenizer, options.validation, 'validation');
  } finally {
    await tokenizer.close();
  }
  const long = longSamplesWarning(
    config,
    [...training, ...validation].map(({ tokens }) => tokens.length),
  );
  if (long !== undefined) log.warn({}, long);
  const engine = await startLlamaEngine({ config, size, optimizer: job.train });
  return builtInTrainer({
    engine,
    settings: { ...job.train, batchSize },
    seed: job.seed,
    padToken: tokenizer.padToken,
    training,
    validation,
    stateFolder,
    run,
    counts,
    fingerprints: await modelFingerprints(files),
  });
}
