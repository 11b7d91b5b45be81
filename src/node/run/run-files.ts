// Reads the job and the model texts of a run folder, and writes its model folders.
import { inOwnDtypes } from '../../codec/float32.js';
import { FedStreamError } from '../../core/errors.js';
import { readText, writeText } from '../../core/storage-text.js';
import type { Job } from '../../job/job.js';
import { type Kit, parseJob } from '../../kit/kit.js';
import { BASE_FOLDER, openGlobalModel } from '../../server/global-models.js';
import type { Dtype } from '../../tensor/dtype.js';
import { writeModel } from '../../tensor/model-folder.js';
import { ADAPTER_FILE } from '../../tensor/model-weights.js';
import { writeSafetensors } from '../../tensor/safetensors.js';
import { nodeCodecs } from '../codec/codecs.js';
import { nodeFolder } from '../storage/node-folder.js';
import { MODEL_TEXTS } from './prepare-run.js';

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
 * or the one given.
 */
export async function writeModelFolder(runPath: string, name: string, round: number, dtype?: Dtype): Promise<void> {
  const run = nodeFolder(runPath);
  const folder = run.folder(name);
  const master = await openGlobalModel(run, round);
  const model = dtype === undefined ? inOwnDtypes(master, nodeCodecs()) : inOwnDtypes(master, nodeCodecs(), () => dtype);
  const texts = await readModelTexts(runPath);
  if (texts['adapter_config.json'] === undefined) await writeModel(folder, model);
  else await writeSafetensors(folder, ADAPTER_FILE, model);
  await model.close?.();
  for (const [file, text] of Object.entries(texts)) await writeText(folder, file, text);
}
