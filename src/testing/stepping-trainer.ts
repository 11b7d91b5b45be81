// A trainer of scripted federations that trains in steps, with momentum: whole rounds, or in parts.
import { copied } from '../tensor/copied.js';
import { DTYPES } from '../tensor/dtype.js';
import { memoryStateDict } from '../tensor/memory-state-dict.js';
import { partOf } from '../tensor/model-parts.js';
import type { StateDict } from '../tensor/state-dict.js';
import { partOfSegment, segmentEnd } from '../trainer/part-plan.js';
import type { PartsStart, PartsTask, Trainer, TrainTask } from '../trainer/trainer.js';
import { evaluatedBytes } from './evaluated-bytes.js';
import { tensorsOf } from './state-dicts.js';

/** Options of `steppingTrainer`. */
export interface SteppingOptions {
  /** Makes what a site learns its own. */
  readonly site: number;
  /** Steps of a round. */
  readonly steps: number;
  /** Called before each step, for a trainer that is slow. */
  before?(step: number): Promise<void>;
}

interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: StateDict['manifest']['tensors'][number]['dtype'];
  readonly data: Float32Array | Uint8Array;
}

/**
 * Every step is the same for the same site, step, values and moments. Moments are kept from round to
 * round in memory, and go into the states of a training in parts.
 */
export function steppingTrainer({ site, steps, before = async () => {} }: SteppingOptions): Trainer {
  let own: Tensor[] = [];
  let moments = new Map<string, Float32Array>();
  let manifest: StateDict['manifest'] | undefined;
  const load = async (model: StateDict): Promise<void> => {
    const content = await tensorsOf(model);
    manifest = model.manifest;
    own = model.manifest.tensors.map(({ name, shape, dtype }) => {
      const bytes = (content.get(name) as Uint8Array).slice();
      return { name, shape, dtype, data: DTYPES[dtype].quantizable ? new Float32Array(bytes.buffer) : bytes };
    });
  };
  const step = async (number: number): Promise<void> => {
    await before(number);
    for (const { name, data } of own) {
      if (!(data instanceof Float32Array)) continue;
      const moment = moments.get(name) ?? new Float32Array(data.length);
      moments.set(name, moment);
      for (let i = 0; i < data.length; i++) {
        const gradient = 0.3 * ((data[i] as number) - 0.1 * Math.sin(i * (site + 1))) + 0.01 * Math.sin(i + number);
        moment[i] = 0.9 * (moment[i] as number) + gradient;
        data[i] = (data[i] as number) - 0.05 * (moment[i] as number);
      }
    }
  };
  const current = (): StateDict =>
    memoryStateDict(own, { ...(manifest && { chunkElements: manifest.chunkElements, tied: manifest.tied }) });
  const state = async (): Promise<StateDict> => {
    const kept = own.flatMap(({ name, shape }): Tensor[] => {
      const data = moments.get(name);
      return data ? [{ name: `m.${name}`, shape, dtype: 'F32', data }] : [];
    });
    return copied(memoryStateDict([...own, ...kept]));
  };
  const resume = async ({ kind, dict }: PartsStart): Promise<void> => {
    moments = new Map();
    if (kind === 'model') return load(dict);
    const content = await tensorsOf(dict);
    const isMoment = (name: string): boolean => name.startsWith('m.');
    own = dict.manifest.tensors.flatMap(({ name, shape, dtype }) => {
      const bytes = (content.get(name) as Uint8Array).slice();
      if (isMoment(name)) {
        moments.set(name.slice(2), new Float32Array(bytes.buffer));
        return [];
      }
      return [{ name, shape, dtype, data: DTYPES[dtype].quantizable ? new Float32Array(bytes.buffer) : bytes }];
    });
    manifest = undefined;
  };
  const merged = async ({ plan, merge }: PartsTask, segment: number): Promise<void> => {
    const given = await merge(segment);
    const content = await tensorsOf(given);
    await given.close?.();
    for (const { name, data } of own) {
      const bytes = content.get(name)?.slice();
      if (!bytes) continue;
      if (!(data instanceof Float32Array)) data.set(bytes);
      else {
        const values = new Float32Array(bytes.buffer);
        for (let i = 0; i < data.length; i++)
          data[i] = plan.alpha === 0 ? (values[i] as number) : plan.alpha * (data[i] as number) + (1 - plan.alpha) * (values[i] as number);
      }
    }
  };
  const figures = { samples: site + 1, trainLoss: 1 };
  return {
    async train({ round, signal, onStep }: TrainTask, model) {
      await load(model);
      for (let number = (round - 1) * steps + 1; number <= round * steps; number++) {
        signal.throwIfAborted();
        await step(number);
        onStep({ step: number, loss: 1, learningRate: 1, tokens: 1 });
      }
      return { ...figures, model: current(), steps };
    },
    async trainParts(task, start) {
      const { plan, parts, rounds, signal, onStep } = task;
      await resume(start);
      let sent = start.kind === 'state' ? task.done : undefined;
      for (let segment = task.done + 1; segment <= rounds * plan.of; segment++) {
        const first = segmentEnd(segment - 1, plan.of, steps) + 1;
        const end = segmentEnd(segment, plan.of, steps);
        for (let number = first; number <= end; number++) {
          if (sent !== undefined && number === first + plan.overlap) await merged(task, sent);
          signal.throwIfAborted();
          await step(number);
          onStep({ step: number, loss: 1, learningRate: 1, tokens: 1 });
        }
        if (sent !== undefined && end + 1 === first + plan.overlap) await merged(task, sent);
        const part = partOfSegment(segment, plan.of);
        const model = await copied(partOf(current(), parts[part - 1] as ReadonlySet<string>));
        await task.send({ ...figures, segment, model, steps: end - first + 1, ...(part === plan.of && { state: await state() }) });
        sent = segment;
      }
    },
    knows: async () => ['parts'],
    evaluate: (model, signal) => evaluatedBytes(model, site, signal),
    close: async () => {},
  };
}
