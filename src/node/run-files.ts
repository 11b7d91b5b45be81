// What is read from and written to a run folder around the rounds: the job, the model's texts, the final Hugging Face folder.
import { FedStreamError } from '../core/errors.js';
import { readText, writeText } from '../core/storage-text.js';
import { openGlobalModel } from '../runtime/global-models.js';
import { type Job, parseJob } from '../runtime/job.js';
import { writeModel } from '../tensor/model-folder.js';
import { nodeFolder } from './node-folder.js';
import { BASE_FOLDER, MODEL_TEXTS } from './prepare-run.js';

/** The job that a run was started with. */
export async function readRunJob(runPath: string): Promise<Job> {
  const text = await readText(nodeFolder(runPath), 'job.json');
  if (text === undefined) throw new FedStreamError('not-found', `${runPath} has no job.json: it is not a run`);
  return parseJob(JSON.parse(text), `${runPath}/job.json`);
}

/** Texts of the model folder that the run started from. */
export async function readModelTexts(runPath: string): Promise<Record<string, string>> {
  const run = nodeFolder(runPath);
  const files: Record<string, string> = {};
  for (const name of MODEL_TEXTS) {
    const text = await readText(run, `${BASE_FOLDER}/${name}`);
    if (text !== undefined) files[name] = text;
  }
  return files;
}

/** Writes a round's global model as a Hugging Face folder below the run. */
export async function writeModelFolder(runPath: string, name: string, round: number): Promise<void> {
  const run = nodeFolder(runPath);
  const folder = run.folder(name);
  const model = await openGlobalModel(run, round);
  await writeModel(folder, model);
  await model.close?.();
  for (const [file, text] of Object.entries(await readModelTexts(runPath))) await writeText(folder, file, text);
}
