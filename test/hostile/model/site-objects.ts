// The objects that a hostile server has: good models with the digests of their values, and bytes
// that only look like such.
import { referenceCodecs } from '../../../src/codec/codec-table.js';
import { contentDigest } from '../../../src/exchange/content-digest.js';
import { memoryStateDict } from '../../../src/tensor/memory-state-dict.js';
import { joinDicts } from '../../../src/tensor/named-dicts.js';
import type { StateDict } from '../../../src/tensor/state-dict.js';
import { objectSource } from '../../../src/transfer/object.js';

const SHAPE = [24, 16];
const VALUES = 24 * 16;

/** A model of the run, and the update that brings the site to it from the model before. */
export interface ServedModel {
  readonly digest: string;
  readonly whole: string;
  readonly update: string | undefined;
}

export interface SiteObjects {
  /** The models of the run: each the one before, with an update. */
  readonly models: readonly ServedModel[];
  /** Names of objects that are no model of this run. */
  readonly wrong: readonly string[];
  /** The name of an object with extras. */
  readonly extras: string;
  readonly bytes: ReadonlyMap<string, Uint8Array>;
  /** The model that an honest run begins with. */
  readonly start: StateDict;
}

const MODELS = 4;

export async function siteObjects(): Promise<SiteObjects> {
  const bytes = new Map<string, Uint8Array>();
  const put = async (name: string, model: StateDict): Promise<string> => {
    bytes.set(name, await wholeOf(model));
    return name;
  };
  const models: ServedModel[] = [];
  let values = Float32Array.from({ length: VALUES }, (_, i) => 0.1 * Math.sin(i));
  const start = modelOf(values);
  for (let i = 0; i < MODELS; i++) {
    const change = Float32Array.from({ length: VALUES }, (_, at) => 0.01 * Math.cos(at * i + i));
    const update = i === 0 ? undefined : await put(`update-${i}`, modelOf(change));
    if (i > 0) values = values.map((value, at) => value + (change[at] as number));
    const model = modelOf(values);
    models.push({ digest: await contentDigest(model, referenceCodecs), whole: await put(`whole-${i}`, model), update });
  }
  const extras = await put('extras-1', joinDicts({ control: modelOf(values) }));
  const good = bytes.get('whole-0') as Uint8Array;
  const changed = good.slice();
  changed[20] = (changed[20] as number) ^ 1;
  await put('not-finite', modelOf(values.map((value, i) => (i === 7 ? Number.NaN : value))));
  await put('other-shape', modelOf(values, [16, 24]));
  await put('other-name', modelOf(values, SHAPE, 'v'));
  await put('large', modelOf(new Float32Array(600_000), [600_000]));
  bytes.set('cut', good.subarray(0, good.length - 9));
  bytes.set('more', Uint8Array.of(...good, 1, 2, 3));
  bytes.set('damaged', changed);
  bytes.set('empty', new Uint8Array(0));
  bytes.set('text', new TextEncoder().encode('{"model_type":"toy"}'));
  const wrong = [...bytes.keys()].filter((name) => !/^(whole|update|extras)-/.test(name));
  return { models, wrong, extras, bytes, start };
}

function modelOf(data: Float32Array, shape = SHAPE, name = 'w'): StateDict {
  return memoryStateDict([{ name, dtype: 'F32', shape, data }]);
}

async function wholeOf(model: StateDict): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of objectSource(model, referenceCodecs, 'id').read(0)) pieces.push(piece.slice());
  return new Uint8Array(Buffer.concat(pieces));
}
