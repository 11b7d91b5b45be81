// The data of bench/pretrained.mjs: two kinds of instructions, one for each site, and some of each
// held out.
import { mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { FedStreamError } from '../../dist/core/errors.js';
import { randomStream, shuffle } from '../../dist/core/random.js';
import { readDataFile, writeDataFile } from '../../dist/node/run/data-files.js';
import { generateTasks } from '../../dist/trainer/data/generate/generate-tasks.js';
import { sitesOf } from './arms.mjs';
import { sha256 } from './model.mjs';

/** Generated families of the first kind, numbers and lists; the others ask for knowledge. */
const COUNTED = new Set(['larger number', 'small sums', 'word in a list', 'counting', 'days', 'months']);
const GENERATED = 60_000;
/** The seed of the data, which is the same in all runs. */
const SEED = 17;
/** True if a prompt leaves room for its answer, at three characters a token. */
const promptFits = (prompt, maxTokens) => prompt.length < 3 * (maxTokens - 16);

/** Both kinds, {a, b}, each with name, samples and, for a file, SHA-256. */
async function readKinds({ dataA, dataB }) {
  if ((dataA === undefined) !== (dataB === undefined))
    throw new FedStreamError('bad-argument', 'give both --data-a and --data-b, or neither');
  if (dataA !== undefined) {
    const kind = async (file) => {
      const samples = await readDataFile(file);
      return { name: basename(file), sha256: await sha256(file), samples };
    };
    return { a: await kind(dataA), b: await kind(dataB) };
  }
  const tasks = generateTasks(SEED, GENERATED);
  const kind = (name, wanted) => ({ name, samples: tasks.filter(({ category }) => COUNTED.has(category) === wanted) });
  return { a: kind('generated: numbers and lists', true), b: kind('generated: facts', false) };
}

/**
 * Writes the files of the sites and of the held-out samples into `folder`; the same for all runs.
 */
export async function prepareData(options, size, folder) {
  const { samplesOfSite, heldOut, maxTokens } = size;
  const kinds = await readKinds(options);
  mkdirSync(folder, { recursive: true });
  const prepared = { kinds: {}, files: {}, heldOut: {} };
  for (const [kind, { name, sha256: hash, samples }] of Object.entries(kinds)) {
    const usable = shuffle(
      samples.filter(({ prompt }) => promptFits(prompt, maxTokens)),
      randomStream(SEED, 'pretrained bench', kind),
    );
    const sitesOfKind = sitesOf(size, kind);
    const needed = heldOut + sitesOfKind;
    if (usable.length < needed)
      throw new FedStreamError('bad-data', `${name} has ${usable.length} samples that fit; ${needed} are needed at the least`);
    prepared.kinds[kind] = { name, ...(hash && { sha256: hash }) };
    prepared.heldOut[kind] = join(folder, `held-out-${kind}.jsonl`);
    writeDataFile(prepared.heldOut[kind], usable.slice(0, heldOut));
    const each = Math.min(samplesOfSite, Math.floor((usable.length - heldOut) / sitesOfKind));
    for (let i = 0; i < sitesOfKind; i++) {
      const site = `${kind}-${i + 1}`;
      prepared.files[site] = join(folder, `${site}.jsonl`);
      writeDataFile(prepared.files[site], usable.slice(heldOut + i * each, heldOut + (i + 1) * each));
      // A site evaluates on its own kind; its command finds the file by the site's name.
      writeDataFile(join(folder, `held-out-${site}.jsonl`), usable.slice(0, heldOut));
    }
  }
  return prepared;
}
