// A kit with a trainer that trains nothing: it makes each value a little larger, chunk by chunk.
import { row } from 'fedstream';
import { z } from 'zod';

const GROWTH = 1 + 2 ** -10;

const grown = (model) => ({
  manifest: model.manifest,
  async *chunks(range) {
    for await (const chunk of model.chunks(range)) {
      const values = new Float32Array(chunk.bytes.buffer, chunk.bytes.byteOffset, chunk.bytes.byteLength / 4);
      const bytes = new Uint8Array(values.map((value) => value * GROWTH).buffer);
      yield { ...chunk, bytes };
    }
  },
});

const make = () => async () => ({
  train: async (_task, model) => ({ model: grown(model), samples: 1, steps: 1, trainLoss: 1 }),
  evaluate: async () => undefined,
  close: async () => {},
});

export const kit = { trainers: [row('grow', z.strictObject({}), make)] };
