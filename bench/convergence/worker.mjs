// A process that runs federations for bench/convergence.mjs, one at a time, and answers with rows.
import { cpSync, mkdirSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import { federate } from './federate.mjs';
import { baseTraining, dataOf, jobOf } from './studies.mjs';

// Ctrl-C reaches the whole process group; the parent decides when to stop.
process.on('SIGINT', () => {});
process.on('disconnect', () => process.exit());
process.on('message', async ({ run, base }) => {
  try {
    process.send({ row: run ? await study(run, base) : await makeBase(base) });
  } catch (error) {
    process.send({ failed: error.message });
  }
});

async function study(run, base) {
  const job = jobOf(run, base);
  return { ...run, ...(await federate(job, dataOf(run, job))) };
}

/**
 * Makes the model: copied beside its place and then renamed, so that the cache has only whole
 * models.
 */
async function makeBase(base) {
  const { job, data } = baseTraining();
  return federate(job, data, async (model) => {
    mkdirSync(dirname(base), { recursive: true });
    cpSync(model, `${base}.part`, { recursive: true });
    renameSync(`${base}.part`, base);
  });
}
