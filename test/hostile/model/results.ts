// Objects that an insider sends as results: one that is right, and others that are wrong in one
// way each.
import { referenceCodecs } from '../../../src/codec/codec-table.js';
import { LeafHasher, type LeafSums } from '../../../src/stream/leaf-sums.js';
import { memoryStateDict } from '../../../src/tensor/memory-state-dict.js';
import type { StateDict } from '../../../src/tensor/state-dict.js';
import { OBJECT_PREFIX_BYTES, objectSource } from '../../../src/transfer/object.js';

/** An object with its right checksums. */
export interface ResultObject {
  readonly name: string;
  /** True if it answers a task for training. */
  readonly good: boolean;
  /** True if it is a model, of whatever tensors. */
  readonly model: boolean;
  readonly bytes: Uint8Array;
  readonly sums: LeafSums;
  readonly digest: string;
}

/** Shapes of the model's tensors. */
export type Shapes = Readonly<Record<string, readonly number[]>>;

function model(shapes: Shapes, value: (i: number) => number): StateDict {
  return memoryStateDict(
    Object.entries(shapes).map(([name, shape]) => {
      const length = shape.reduce((product, size) => product * size, 1);
      return { name, dtype: 'F32' as const, shape, data: Float32Array.from({ length }, (_, i) => value(i)) };
    }),
  );
}

async function bytesOf(dict: StateDict): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of objectSource(dict, referenceCodecs).read(0)) pieces.push(piece.slice());
  return new Uint8Array(Buffer.concat(pieces));
}

/** Replaces a text inside the manifest by one of the same length. */
function edited(bytes: Uint8Array, from: string, to: string): Uint8Array {
  const text = Buffer.from(bytes).toString('latin1');
  const at = text.indexOf(from);
  if (at < 0 || from.length !== to.length) throw new Error(`${from} cannot be replaced by ${to}`);
  const changed = bytes.slice();
  changed.set(Buffer.from(to, 'latin1'), at);
  return changed;
}

async function sealed(name: string, bytes: Uint8Array, is: 'good' | 'model' | 'bad' = 'bad'): Promise<ResultObject> {
  const hasher = new LeafHasher();
  hasher.update(bytes);
  const sums = hasher.finish();
  return { name, good: is === 'good', model: is !== 'bad', bytes, sums, digest: await sums.digest() };
}

/** The right object first. */
export async function resultObjects(shapes: Shapes): Promise<ResultObject[]> {
  const small = (i: number): number => 1e-3 * Math.sin(i);
  const right = await bytesOf(model(shapes, small));
  const [first] = Object.keys(shapes) as [string];
  const long = right.slice();
  new DataView(long.buffer).setUint32(8, 0xffffffff, true);
  const claimsMuch = right.slice();
  new DataView(claimsMuch.buffer).setUint32(12, 0x7fffffff, true);
  const infinite = model(shapes, (i) => (i === 7 ? Number.POSITIVE_INFINITY : small(i)));
  return Promise.all([
    sealed('good', right, 'good'),
    sealed('NaN', await bytesOf(model(shapes, (i) => (i === 3 ? Number.NaN : small(i))))),
    sealed('infinite', await bytesOf(infinite)),
    sealed('extra tensor', await bytesOf(model({ ...shapes, more: [3] }, small)), 'model'),
    sealed('extra dict', await bytesOf(model({ ...shapes, '@control/w': [3] }, small)), 'model'),
    sealed('proto dict', await bytesOf(model({ ...shapes, '@__proto__/w': [3] }, small)), 'model'),
    sealed('lacks a tensor', await bytesOf(model({ [first]: shapes[first] as readonly number[] }, small)), 'model'),
    sealed('other shape', await bytesOf(model({ ...shapes, [first]: [5] }, small)), 'model'),
    sealed('no tensor', await bytesOf(model({}, small)), 'model'),
    sealed('unknown codec', edited(right, '"raw"', '"rww"')),
    sealed('unknown dtype', edited(right, '"F32"', '"F33"')),
    sealed('manifest of 4 GiB', long),
    sealed('manifest of 9 PB', claimsMuch),
    sealed('cut off', right.slice(0, right.length - 5)),
    sealed('cut in the manifest', right.slice(0, OBJECT_PREFIX_BYTES + 9)),
    sealed('too long', new Uint8Array(Buffer.concat([right, Uint8Array.of(1, 2, 3)]))),
    sealed('no object', new TextEncoder().encode('GET / HTTP/1.1\r\n\r\n')),
    sealed('one byte', Uint8Array.of(70)),
  ]);
}
