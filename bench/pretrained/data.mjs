// The data of the pretrained bench: two kinds of instructions, shared out among the sites so that a site has one kind, and some of each held out.
import { mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { FedStreamError } from '../../dist/core/errors.js';
import { randomStream, shuffle } from '../../dist/core/random.js';
import { readDataFile, writeDataFile } from '../../dist/node/run/data-files.js';
import { generateTasks } from '../../dist/trainer/data/generate/generate-tasks.js';
import { sha256 } from './model.mjs';

/** The families of the built-in generator that are of the first kind: numbers and lists; the others ask for what one knows. */
const COUNTED = new Set(['larger number', 'small sums', 'word in a list', 'counting', 'days', 'months']);
const GENERATED = 60_000;
/** Of what is the same in all runs. */
const SEED = 17;
/** A character a token at the least: what is longer has no room for its answer. */
const promptFits = (prompt, maxTokens) => prompt.length < 3 * (maxTokens - 16);

/** {a, b} with name, SHA-256 where it is a file, and samples. */
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

/** Writes the files of sites and of what is held out into `folder`; the same for every arm and seed. */
export async function prepareData(options, { sitesOfKind, samplesOfSite, heldOut, maxTokens }, folder) {
  const kinds = await readKinds(options);
  mkdirSync(folder, { recursive: true });
  const prepared = { kinds: {}, files: {}, heldOut: {} };
  for (const [kind, { name, sha256: hash, samples }] of Object.entries(kinds)) {
    const usable = shuffle(
      samples.filter(({ prompt }) => promptFits(prompt, maxTokens)),
      randomStream(SEED, 'pretrained bench', kind),
    );
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
      // A site evaluates on its own kind; the file has its name, so that its command finds it.
      writeDataFile(join(folder, `held-out-${site}.jsonl`), usable.slice(0, heldOut));
    }
  }
  return prepared;
}
