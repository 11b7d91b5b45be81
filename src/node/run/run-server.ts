// Runs the server process of a run, and records its rounds in the run folder.
import { join } from 'node:path';
import type { CodecTable } from '../../codec/codec.js';
import type { FedStreamError } from '../../core/errors.js';
import type { Folder } from '../../core/storage.js';
import type { DriverOptions } from '../../driver/driver.js';
import { wholeBits } from '../../filter/chain.js';
import { type Listening, runServer } from '../../hub/server.js';
import { type Job, NAME_PATTERN } from '../../job/job.js';
import { builtInKit, type Kit, workflowOf } from '../../kit/kit.js';
import type { EmitEvent, RunEvent } from '../../record/events.js';
import { openRunRecord, type RunRecord } from '../../record/run-record.js';
import type { Sinks } from '../../record/sinks/sink.js';
import { hasGlobalModel, openGlobalModel } from '../../server/global-models.js';
import { readJournal } from '../../server/journal.js';
import type { RunResult } from '../../server/run.js';
import { type Dtype, elementCount } from '../../tensor/dtype.js';
import type { Fingerprints } from '../../trainer/fingerprints.js';
import { modelFingerprints } from '../../trainer/model-fingerprints.js';
import type { Trainer } from '../../trainer/trainer.js';
import { nodeCodecs } from '../codec/codecs.js';
import { catchFaults } from '../process/catch-faults.js';
import { fileLogger } from '../process/log-file.js';
import { processMemory } from '../process/memory.js';
import { nodeFolder } from '../storage/node-folder.js';
import type { TokenVerifiers } from '../tls/token-files.js';
import { makeTrainer } from '../trainer/make-trainer.js';
import { readDataFile } from './data-files.js';
import { validationPath } from './prepare-run.js';
import { readModelTexts, writeModelFolder } from './run-files.js';
import { runStarted } from './run-started.js';

/** The run, the addresses of its server, and the receivers of its events. */
export interface RunServerOptions {
  readonly runPath: string;
  readonly job: Job;
  /** The kit that the job may choose from. */
  readonly kit?: Kit;
  /** Listeners for the sites, which may connect to any of them. */
  readonly listeners: readonly Listening[];
  /** Names and origins that requests over HTTP may have. */
  readonly web?: Pick<DriverOptions, 'hosts' | 'origins'> | undefined;
  /** What the server keeps of the tokens of its sites; sites without a token need a certificate. */
  readonly tokens?: TokenVerifiers | undefined;
  readonly threads?: number;
  /** The dtype of the model folders that the run leaves; that of its checkpoint by default. */
  readonly dtype?: Dtype | undefined;
  readonly signal: AbortSignal;
  onListening(url: string): void;
  onEvent(event: RunEvent): void;
  /** Sinks for events, besides the files of the run folder; closed when the run ends. */
  readonly sinks?: Sinks;
}

const MEMORY_MS = 1_000;

/**
 * Runs the rounds and writes the model folders. `runPath` must hold a prepared run, or one that was
 * stopped. An error is recorded as an event before it is thrown.
 */
export async function runServerProcess(options: RunServerOptions): Promise<RunResult> {
  const { runPath, job, kit = builtInKit, listeners, tokens, signal } = options;
  const run = nodeFolder(runPath);
  const log = fileLogger(join(runPath, 'logs', 'server.log'), { name: 'server' });
  const onEvent = { emit: options.onEvent, close: async () => {} };
  const record = await openRunRecord(run, { log, sinks: { onEvent, ...options.sinks } });
  const { emit } = record;
  const memory = setInterval(() => emit({ type: 'memory', process: 'server', ...processMemory() }), MEMORY_MS);
  const stopCatching = catchFaults(log, emit);
  let evaluator: Trainer | undefined;
  try {
    await announce(options, record, emit);
    const files = await readModelTexts(runPath);
    warnOfWholeWeights(job, kit.codecs, files, emit);
    // Trainers of the sites' own exist only on their machines, so the sites evaluate.
    const own = job.trainer !== undefined;
    const workflow = workflowOf(job, kit);
    const { modelAtSites = false } = workflow;
    const validation =
      own || modelAtSites || (await run.sizeBytes('data/validation.jsonl')) === undefined
        ? []
        : await readDataFile(validationPath(runPath));
    if (validation.length > 0) evaluator = await makeTrainer({ job, files, training: [], validation, threads: options.threads, log });
    const onListening = (at: string): void => {
      log.info({ url: at }, 'listening');
      options.onListening(at);
    };
    const result = await runServer({
      job,
      run,
      name: nameForSites(options),
      files: own ? {} : files,
      codecs: nodeCodecs(kit.codecs),
      filters: kit.filters,
      workflow,
      listeners,
      web: options.web,
      admission: { tokens },
      evaluator,
      fingerprints: await ownFingerprints(job, files),
      emit,
      memory: processMemory,
      log,
      signal,
      onListening,
    });
    if (!modelAtSites) await writeModelFolder(runPath, 'model', result.lastRound, options.dtype);
    if (!modelAtSites && result.bestRound !== result.lastRound)
      await writeModelFolder(runPath, 'best-model', result.bestRound, options.dtype);
    emit({ type: 'memory', process: 'server', ...processMemory() });
    emit({ type: 'run-finished', reason: result.reason });
    return result;
  } catch (error) {
    const { code, message } = error as FedStreamError;
    log.error({ code }, message);
    emit({ type: 'warning', message: `the run stopped: ${message}` });
    throw error;
  } finally {
    clearInterval(memory);
    stopCatching();
    await evaluator?.close();
    await record.close().finally(() => log.close());
  }
}

/**
 * The fingerprints that sites with a trainer of their own must not contradict. Vocabularies are left
 * out, since scripts add tokens; and the texts of an offered model are a site's own.
 */
async function ownFingerprints(job: Job, files: Readonly<Record<string, string>>): Promise<Fingerprints> {
  if (job.model === 'offered') return {};
  const { 'base.config.vocab_size': _, tokenizer, labels, ...own } = await modelFingerprints(files);
  return own;
}

/** Records the start of a run, in its first session only; a later session resumes the run. */
async function announce(options: RunServerOptions, record: RunRecord, emit: EmitEvent): Promise<void> {
  const { runPath, job } = options;
  if (record.summary().startedAt !== null) return;
  const run = nodeFolder(runPath);
  const round = (await readJournal(run)).at(-1)?.round ?? 0;
  const parameters = (await hasGlobalModel(run, round)) && { parameters: await parameterCount(run, round) };
  emit({ ...runStarted(runLabel(options), job), ...parameters });
}

function runLabel({ runPath, job }: RunServerOptions): string {
  return job.name ?? runPath.split('/').at(-1) ?? 'run';
}

/** The label, if it is a name that sites can give (`--run`); a folder may be called anything. */
function nameForSites(options: RunServerOptions): string | undefined {
  const label = runLabel(options);
  return NAME_PATTERN.test(label) ? label : undefined;
}

/**
 * Bits per weight, and the harm of sending whole weights in so few in full fine-tuning of a
 * pretrained model (docs/evidence.md).
 */
const HARM = [
  { bits: 4, harm: 'at 4 bits the model came out worse than it went in' },
  { bits: 8, harm: 'at 8 bits the loss ended 35 % above that of float32: steps smaller than the grid are swallowed' },
];

/**
 * Warns of whole weights in few bits. Adapters are spared: they move far for their size, and stand
 * every coding.
 */
function warnOfWholeWeights(job: Job, codecs: CodecTable, files: Readonly<Record<string, string>>, emit: EmitEvent): void {
  const bits = wholeBits(job, codecs);
  const found = bits === undefined ? undefined : HARM.find((row) => bits <= row.bits);
  if (!found || files['adapter_config.json'] !== undefined) return;
  const message = `whole weights are sent in ${bits} bits: in full fine-tuning of a pretrained model, ${found.harm} (docs/evidence.md); "quantize": "u4" sends updates, which lose nothing`;
  emit({ type: 'warning', message });
}

async function parameterCount(run: Folder, round: number): Promise<number> {
  const model = await openGlobalModel(run, round);
  await model.close?.();
  return model.manifest.tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
}
