// A site that lies: its trainer's result is replaced before it is sent.
import { randomStream } from '../../dist/core/random.js';

/** The lies by name: each makes what is sent of what the site has learnt. */
const LIES = {
  /** −10 times the update. */
  reversed: () => async (given, trained) => sumOf(given, await changesOf(given, trained), -10),
  /** Noise of the update's norm. */
  noise: (seed) => {
    const random = randomStream(seed, 'noise');
    return async (given, trained) => {
      const changes = await changesOf(given, trained);
      const noise = changes.map((values) => Float64Array.from(values, () => random.normal()));
      return sumOf(given, noise, normOf(changes) / normOf(noise));
    };
  },
};

/** The names of lies in a result; lies in the data are made where the data is. */
export const LIE_NAMES = Object.keys(LIES);

/** A trainer that sends a lie in place of what `trainer` has learnt. */
export function lyingTrainer(trainer, lie, seed) {
  const replace = LIES[lie](seed);
  return {
    ...methodsOf(trainer),
    async train(task, model) {
      const result = await trainer.train(task, model);
      const lie = await replace(model, result.model);
      return { ...result, model: { ...lie, close: () => result.model.close?.() } };
    },
  };
}

function methodsOf(trainer) {
  const methods = ['evaluate', 'offer', 'fingerprints', 'samplesIn', 'close'].filter((name) => trainer[name]);
  return {
    evaluatesInTraining: trainer.evaluatesInTraining,
    ...Object.fromEntries(methods.map((name) => [name, (...given) => trainer[name](...given)])),
  };
}

/** The values of a model of the study, chunk by chunk; it is small, and float32. */
async function valuesOf(model) {
  const all = [];
  for await (const { bytes, elements } of model.chunks()) all.push(new Float32Array(bytes.slice().buffer, 0, elements));
  return all;
}

async function changesOf(given, trained) {
  const [before, after] = [await valuesOf(given), await valuesOf(trained)];
  return after.map((values, chunk) => Float64Array.from(values, (value, i) => value - before[chunk][i]));
}

const normOf = (chunks) => Math.sqrt(chunks.reduce((sum, values) => sum + values.reduce((all, one) => all + one * one, 0), 0));

/** `given + times × changes` as a state dict. */
function sumOf(given, changes, times) {
  async function* chunks(range) {
    for await (const chunk of given.chunks(range)) {
      const values = new Float32Array(chunk.bytes.slice().buffer, 0, chunk.elements);
      for (let i = 0; i < values.length; i++) values[i] += times * changes[chunk.index][i];
      yield { ...chunk, bytes: new Uint8Array(values.buffer) };
    }
  }
  return { manifest: given.manifest, chunks };
}
