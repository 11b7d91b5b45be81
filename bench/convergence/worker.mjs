// A process that runs federations for bench/convergence.mjs, one at a time, and answers with rows.
import { cpSync, mkdirSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import { federate } from './federate.mjs';
import { baseTraining, dataOf, jobOf, liarOf } from './studies.mjs';

// Ctrl-C reaches the whole process group; the parent decides when to stop.
process.on('SIGINT', () => {});
process.on('disconnect', () => process.exit());
process.on('message', async ({ run, base, path, text }) => {
  try {
    process.send({ row: run ? await study(run, path, text) : await makeBase(base, path, text) });
  } catch (error) {
    process.send({ failed: error.message });
  }
});

async function study(run, base, text) {
  const job = jobOf(run, base);
  return { ...run, ...(await federate(job, await dataOf(run, job, text), { liar: liarOf(run) })) };
}

/**
 * Makes the model: copied beside its place and then renamed, so that the cache has only whole
 * models.
 */
async function makeBase(base, path, text) {
  const { job, data } = await baseTraining(base, text);
  const keep = async (model) => {
    mkdirSync(dirname(path), { recursive: true });
    cpSync(model, `${path}.part`, { recursive: true });
    renameSync(`${path}.part`, path);
  };
  return federate(job, data, { keep });
}
