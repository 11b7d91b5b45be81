// The text of study T: a file of instruction data, half of it for the model that the study begins
// with.
import { basename } from 'node:path';
import { FedStreamError } from '../../dist/core/errors.js';
import { randomStream, shuffle } from '../../dist/core/random.js';
import { readDataFile } from '../../dist/node/run/data-files.js';
import { sha256 } from '../pretrained/model.mjs';

/** Characters of a sample: what the model is given, and what it has to go on with. */
const GIVEN = 40;
const GOES_ON = 140;
const MOST_SAMPLES = 6000;
const LEAST_SAMPLES = 1000;
const SEED = 17;

/**
 * A file of text as the benchmark tells its workers of it, and as rows name it. A file that cannot be
 * used is told before any time is spent.
 */
export async function textOfFile(path) {
  const name = basename(path);
  await halvesOf({ path, name });
  return { path, name, sha256: await sha256(path) };
}

/**
 * The beginnings of a file's texts, question and answer as one, in two halves that do not depend on
 * a run's seed.
 */
export async function halvesOf({ path, name }) {
  const texts = (await readDataFile(path)).map(({ prompt, answer }) => `${prompt} ${answer}`);
  const usable = shuffle(
    texts.filter((text) => text.length >= GIVEN + GOES_ON),
    randomStream(SEED, 'text'),
  ).slice(0, MOST_SAMPLES);
  if (usable.length < LEAST_SAMPLES)
    throw new FedStreamError('bad-data', `${name} has ${usable.length} texts that are long enough; ${LEAST_SAMPLES} are needed`);
  const samples = usable.map((text) => ({ prompt: text.slice(0, GIVEN), answer: text.slice(GIVEN, GIVEN + GOES_ON) }));
  const half = samples.length >> 1;
  return { first: samples.slice(0, half), second: samples.slice(half) };
}
