// State dicts for the suites: what is in one, and how one is read.

import type { CodecTable } from '../codec/codec.js';
import { tensorLayouts } from '../codec/layout.js';
import { chunkCount, chunkPlaces } from '../tensor/chunks.js';
import { DTYPES } from '../tensor/dtype.js';
import { type MemoryTensor, memoryStateDict } from '../tensor/memory-state-dict.js';
import type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';
import { widenInto } from '../tensor/widen.js';
import { check, equal, sameBytes } from './checks.js';

/** The bytes of each chunk. */
export async function contentOf(state: StateDict, range?: ChunkRange): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for await (const { bytes } of state.chunks(range)) chunks.push(bytes.slice());
  return chunks;
}

export function same(actual: readonly Uint8Array[], expected: readonly Uint8Array[], what: string): void {
  equal(actual.length, expected.length, `chunks of ${what}`);
  for (const [i, bytes] of actual.entries()) check(sameBytes(bytes, expected[i] as Uint8Array), `${what}: chunk ${i} has other bytes`);
}

/** The bytes of each tensor by name; for state dicts that fit in memory. */
export async function tensorsOf(state: StateDict): Promise<Map<string, Uint8Array>> {
  const parts = new Map<string, Uint8Array[]>(state.manifest.tensors.map(({ name }) => [name, []]));
  for await (const { tensor, bytes } of state.chunks()) parts.get(tensor.name)?.push(bytes.slice());
  return new Map([...parts].map(([name, all]) => [name, joined(all)]));
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The same content in memory. */
export async function inMemory(state: StateDict): Promise<StateDict> {
  const content = await tensorsOf(state);
  const tensors = state.manifest.tensors.map(
    ({ name, dtype, shape }): MemoryTensor => ({ name, dtype, shape, data: content.get(name) as Uint8Array }),
  );
  return memoryStateDict(tensors, { chunkElements: state.manifest.chunkElements });
}

/** Every chunk is the one that the manifest says; ranges give the same as a full reading. */
export async function checkChunks(state: StateDict, codecs: CodecTable, what: string): Promise<void> {
  const { manifest } = state;
  const layouts = tensorLayouts(manifest, codecs);
  const places = chunkPlaces(manifest);
  const whole: Uint8Array[] = [];
  for await (const chunk of state.chunks()) {
    const place = places.next().value;
    check(place !== undefined, `${what} has more chunks than its manifest`);
    for (const field of ['tensorIndex', 'index', 'firstElement', 'elements'] as const)
      equal(chunk[field], place[field], `${what}: ${field} of chunk ${place.index}`);
    equal(JSON.stringify(chunk.tensor), JSON.stringify(place.tensor), `${what}: the tensor of chunk ${place.index}`);
    const layout = layouts[place.tensorIndex];
    const most = layout?.chunkBytes(place.elements) ?? 0;
    check(
      layout?.varies ? chunk.bytes.length <= most : chunk.bytes.length === most,
      `${what}: bytes of chunk ${place.index}: ${chunk.bytes.length}`,
    );
    whole.push(chunk.bytes.slice());
  }
  equal(whole.length, chunkCount(manifest), `chunks of ${what}`);
  for (const range of rangesOf(whole.length))
    same(await contentOf(state, range), whole.slice(range.first, range.end), `${what} from chunk ${range.first} to ${range.end}`);
}

/** Each chunk alone, the last first; then runs of chunks, and none. */
function rangesOf(chunks: number): ChunkRange[] {
  const single = Array.from({ length: chunks }, (_, i) => ({ first: chunks - 1 - i, end: chunks - i }));
  const cuts = [0, Math.floor(chunks / 3), Math.floor((2 * chunks) / 3), chunks];
  const runs = cuts.slice(1).map((end, i) => ({ first: cuts[i] as number, end }));
  return [...single, ...runs, { first: Math.min(1, chunks), end: chunks }, { first: 0, end: chunks + 5 }, { first: 1, end: 1 }];
}

/**
 * The same state dict, watched. Each chunk comes in a buffer of its own, at an odd address, which is
 * spoiled as soon as the next one is asked for: a chunk is borrowed until then.
 */
export class Watched implements StateDict {
  readonly manifest: StateDict['manifest'];
  /** Chunks that were given. */
  read = 0;
  /** Readings that have begun and have not ended. */
  open = 0;
  closed = 0;
  /** Tensors of which somebody has written to a chunk that was lent. */
  readonly written = new Set<string>();
  readonly #of: StateDict;
  readonly #onChunk: (chunk: Chunk) => void;

  /** `onChunk` is called before each chunk is given; reading the chunk throws what it throws. */
  constructor(of: StateDict, onChunk: (chunk: Chunk) => void = () => {}) {
    this.manifest = of.manifest;
    this.#of = of;
    this.#onChunk = onChunk;
  }

  async *chunks(range?: ChunkRange): AsyncGenerator<Chunk> {
    this.open++;
    let lent = new Uint8Array(0);
    try {
      for await (const chunk of this.#of.chunks(range)) {
        this.#onChunk(chunk);
        this.read++;
        lent = new Uint8Array(chunk.bytes.length + 1).subarray(1);
        lent.set(chunk.bytes);
        yield { ...chunk, bytes: lent };
        if (!sameBytes(lent, chunk.bytes)) this.written.add(chunk.tensor.name);
        lent.fill(0xa5);
      }
    } finally {
      lent.fill(0xa5);
      this.open--;
    }
  }

  close(): void {
    this.closed++;
  }
}

/** Nobody has changed what was lent, and no reading is left open. */
export function checkLeft(state: Watched, what: string): void {
  equal([...state.written].join(), '', `${what}: tensors that were written to`);
  equal(state.open, 0, `${what}: readings that were left open`);
}

/** Seeded numbers in −1..1, one for each index. */
export function noise(seed: number, i: number): number {
  return hashOf(seed, i) / 2 ** 31 - 1;
}

/** Seeded values of the size that weights have, most of them small. */
export function weights(seed: number, count: number, scale = 0.1): Float32Array {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const hash = hashOf(seed, i);
    values[i] = scale * ((hash >>> 16) / 2 ** 15 - 1) * ((hash & 0xffff) / 2 ** 15 - 1);
  }
  return values;
}

/** 32 bits. */
function hashOf(seed: number, i: number): number {
  let hash = Math.imul(i + 1, 0x9e3779b1) ^ Math.imul(seed + 1, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35);
  hash = Math.imul(hash ^ (hash >>> 13), 0x27d4eb2f);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** √(Σ (a − b)² / Σ a²) over all raw tensors that can be averaged; both have the same chunks. */
export async function distance(a: StateDict, b: StateDict): Promise<number> {
  const others = b.chunks()[Symbol.asyncIterator]();
  let off = 0;
  let all = 0;
  for await (const { tensor, bytes, elements } of a.chunks()) {
    const other = await others.next();
    check(!other.done && other.value.bytes.length === bytes.length, 'two models that are compared have other chunks');
    if (!DTYPES[tensor.dtype].quantizable || tensor.encoding.codec !== 'raw') continue;
    const values = widenInto(tensor.dtype, bytes, new Float32Array(elements));
    const against = widenInto(tensor.dtype, other.value.bytes, new Float32Array(elements));
    for (let i = 0; i < values.length; i++) {
      off += ((values[i] as number) - (against[i] as number)) ** 2;
      all += (values[i] as number) ** 2;
    }
  }
  return off === 0 ? 0 : Math.sqrt(off / all);
}
