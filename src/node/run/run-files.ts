// Reads the job and the model texts of a run folder, and writes its model folders.
import { inOwnDtypes } from '../../codec/float32.js';
import { FedStreamError } from '../../core/errors.js';
import type { Folder } from '../../core/storage.js';
import { readText, writeText } from '../../core/storage-text.js';
import type { Job } from '../../job/job.js';
import { type Kit, parseJob } from '../../kit/kit.js';
import { BASE_FOLDER, openGlobalModel } from '../../server/global-models.js';
import { readJournal } from '../../server/journal.js';
import type { Dtype } from '../../tensor/dtype.js';
import { STACK, stackOf } from '../../tensor/lora-stack.js';
import { writeModel } from '../../tensor/model-folder.js';
import { ADAPTER_FILE } from '../../tensor/model-weights.js';
import { openSafetensors, writeSafetensors } from '../../tensor/safetensors.js';
import { stackedAdapter } from '../../tensor/stacked-adapter.js';
import type { StateDict } from '../../tensor/state-dict.js';
import { LORA_KEPT } from '../../workflow/lora/lora-aggregator.js';
import { nodeCodecs } from '../codec/codecs.js';
import { nodeFolder } from '../storage/node-folder.js';
import { MODEL_TEXTS } from './prepare-run.js';

const ADAPTER_CONFIG = 'adapter_config.json';

/** The job that a run was started with; rejects with `not-found` for a folder that is not a run. */
export async function readRunJob(runPath: string, kit?: Kit): Promise<Job> {
  const text = await readText(nodeFolder(runPath), 'job.json');
  if (text === undefined) throw new FedStreamError('not-found', `${runPath} has no job.json: it is not a run`);
  return parseJob(JSON.parse(text), `${runPath}/job.json`, kit);
}

/** The texts of the model folder that the run started from, by file name. */
export async function readModelTexts(runPath: string): Promise<Record<string, string>> {
  const run = nodeFolder(runPath);
  const files: Record<string, string> = {};
  for (const name of MODEL_TEXTS) {
    const text = await readText(run, `${BASE_FOLDER}/${name}`);
    if (text !== undefined) files[name] = text;
  }
  return files;
}

/**
 * Writes a round's global model as a Hugging Face folder below the run, or as a PEFT adapter if
 * there is an `adapter_config.json`. It has the dtypes of the checkpoint that the run began with,
 * or the one given. An adapter with a stack beside its base is written as one of a larger rank.
 */
export async function writeModelFolder(runPath: string, name: string, round: number, dtype?: Dtype): Promise<void> {
  const run = nodeFolder(runPath);
  const texts = await readModelTexts(runPath);
  const master = await withStack(run, round, await openGlobalModel(run, round), texts);
  await writeModelTo(run.folder(name), master, texts, dtype);
  await master.close?.();
}

/** Writes a model, float32 with a note of its dtypes, as such a folder; the caller closes it. */
export async function writeModelTo(
  folder: Folder,
  master: StateDict,
  texts: Readonly<Record<string, string>>,
  dtype?: Dtype,
): Promise<void> {
  const model = dtype === undefined ? inOwnDtypes(master, nodeCodecs()) : inOwnDtypes(master, nodeCodecs(), () => dtype);
  if (texts[ADAPTER_CONFIG] === undefined) await writeModel(folder, model);
  else await writeSafetensors(folder, ADAPTER_FILE, model);
  for (const [file, text] of Object.entries(texts)) await writeText(folder, file, text);
}

/**
 * The adapter of a round with its stack, if it has one; its configuration in `texts` is then that of
 * the larger rank. Throws `unsupported` for a stack without the configuration of its adapter.
 */
async function withStack(run: Folder, round: number, adapter: StateDict, texts: Record<string, string>): Promise<StateDict> {
  const file = (await readJournal(run)).find((entry) => entry.round === round)?.state?.[LORA_KEPT];
  if (file === undefined || (await run.sizeBytes(file)) === undefined) return adapter;
  const stack = stackOf(await openSafetensors(run, file));
  if (stack.manifest.tensors.length === 0) {
    await stack.close?.();
    return adapter;
  }
  const config = texts[ADAPTER_CONFIG];
  if (config === undefined)
    throw new FedStreamError(
      'unsupported',
      `the ${STACK} of round ${round} cannot be written: the run has no ${ADAPTER_CONFIG}; it lies in ${file}`,
    );
  const stacked = stackedAdapter(adapter, stack, config);
  texts[ADAPTER_CONFIG] = stacked.config;
  return stacked.model;
}
