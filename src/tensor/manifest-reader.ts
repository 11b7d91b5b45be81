// Reads a manifest from the bytes of its JSON as they come, and checks each tensor by hand: a schema
// takes ten times as long, and a peer chooses how many tensors there are.
import { FedStreamError } from '../core/errors.js';
import { JsonMembers, SPREAD } from '../core/json-members.js';
import { type Dtype, dtypeBytes, elementCount, isDtype } from './dtype.js';
import type { Encoding, Manifest, TensorEntry } from './manifest.js';
import { isTensorName as isName, MAX_TENSOR_NAME } from './tensor-name.js';

/**
 * The most tensors of a manifest. A mixture-of-experts model of hundreds of billions of parameters
 * has some 100,000.
 */
export const MAX_TENSORS = 1_000_000;
/** The size of a chunk is a multiple of this, so that every block of every codec divides it. */
const CHUNK_MULTIPLE = 16_384;
const MAX_CHUNK_ELEMENTS = 2 ** 24;
/** The most texts of `tied` and of `metadata`; a tied tensor is rare. */
const MAX_TEXTS = 100_000;
const MAX_SIDES = 64;
/** The most numbers of a codec's own in one encoding. */
const MAX_PARAMETERS = 8;
const PARAMETER_NAME = /^[a-z][A-Za-z0-9]{0,31}$/;
const MAX_CODEC_LENGTH = 64;
/** The root, `tensors`, a tensor, its encoding, and the parameters of that. */
const MAX_DEPTH = 5;

const FIELDS = ['tensors', 'chunkElements', 'tied', 'metadata'] as const;

/** Limits on a manifest that someone else wrote. */
export interface ManifestLimits {
  /** The most tensors; `MAX_TENSORS` by default. */
  readonly tensors?: number;
}

/** Takes the bytes of one manifest, piece by piece. */
export class ManifestReader {
  readonly #source: string;
  readonly #mostTensors: number;
  readonly #json: JsonMembers;
  readonly #tensors: TensorEntry[] = [];
  readonly #names = new Set<string>();
  /** Equal encodings become one object, by what makes them equal. */
  readonly #encodings = new Map<string, Encoding>();
  readonly #texts = { tied: [] as [string, string][], metadata: [] as [string, string][] };
  readonly #fields = new Map<string, unknown>();

  /** `source` is named in the messages of errors. */
  constructor(source: string, limits: ManifestLimits = {}) {
    this.#source = source;
    this.#mostTensors = Math.min(limits.tensors ?? MAX_TENSORS, MAX_TENSORS);
    this.#json = new JsonMembers({
      spread: ['tensors', 'tied', 'metadata'],
      maxDepth: MAX_DEPTH,
      onMember: (name, value) => this.#member(name, value),
      onItems: (name, items) => this.#items(name, items),
      onInner: (name, key, value) => this.#pair(name, key, value),
    });
  }

  /** Takes the next bytes. Throws `bad-manifest` or `limit` as soon as they break a rule. */
  push(bytes: Uint8Array): void {
    this.#parsing(() => this.#json.push(bytes));
  }

  /** The manifest, once all bytes were given. */
  finish(): Manifest {
    this.#parsing(() => this.#json.finish());
    for (const field of FIELDS) if (!this.#fields.has(field)) throw this.#wrong(field, 'it is missing');
    const chunkElements = this.#fields.get('chunkElements');
    if (!isCount(chunkElements, CHUNK_MULTIPLE, MAX_CHUNK_ELEMENTS) || chunkElements % CHUNK_MULTIPLE !== 0)
      throw this.#wrong('chunkElements', `it is no multiple of ${CHUNK_MULTIPLE} up to ${MAX_CHUNK_ELEMENTS}`);
    for (const [alias, name] of this.#texts.tied)
      if (this.#names.has(alias) || !this.#names.has(name))
        throw new FedStreamError('bad-manifest', `the manifest of ${this.#source} ties ${alias} to ${name}, which is not allowed`);
    const { tied, metadata } = this.#texts;
    return { tensors: this.#tensors, chunkElements, tied: Object.fromEntries(tied), metadata: Object.fromEntries(metadata) };
  }

  #parsing(work: () => void): void {
    try {
      work();
    } catch (cause) {
      if (cause instanceof FedStreamError) throw cause;
      throw new FedStreamError('bad-manifest', `the manifest of ${this.#source} is not JSON: ${(cause as Error).message}`, { cause });
    }
  }

  #member(name: string, value: unknown): void {
    if (!(FIELDS as readonly string[]).includes(name)) throw this.#wrong('its root', `${JSON.stringify(name.slice(0, 80))} is unknown`);
    if (name !== 'chunkElements' && value !== SPREAD) throw this.#wrong(name, 'it is neither a list nor an object');
    this.#fields.set(name, value);
  }

  #items(name: string, items: readonly unknown[]): void {
    if (name !== 'tensors') throw this.#wrong(name, 'it is no object');
    for (const tensor of items) this.#tensor(tensor);
  }

  #pair(name: string, key: string, value: unknown): void {
    if (name === 'tensors') throw this.#wrong(name, 'it is no list');
    const texts = this.#texts[name as 'tied' | 'metadata'];
    const fits = typeof value === 'string' && (name === 'metadata' || (isName(key) && isName(value)));
    if (!fits) throw this.#wrong(`${name}.${key.slice(0, 80)}`, 'it is no such text');
    texts.push([key, value]);
    if (texts.length > MAX_TEXTS)
      throw new FedStreamError('limit', `the manifest of ${this.#source} has more than ${MAX_TEXTS} texts in ${name}`);
  }

  #tensor(value: unknown): void {
    const at = this.#tensors.length;
    if (at >= this.#mostTensors)
      throw new FedStreamError('limit', `the manifest of ${this.#source} has more tensors than the ${this.#mostTensors} that are taken`);
    if (!hasOnly(value, TENSOR_FIELDS)) throw this.#wrong(`tensors.${at}`, `it has other fields than ${TENSOR_FIELDS.join(', ')}`);
    const { name, dtype, shape, encoding } = value;
    if (!isName(name)) throw this.#wrong(`tensors.${at}.name`, `it is no text of 1 to ${MAX_TENSOR_NAME} characters`);
    if (typeof dtype !== 'string' || !isDtype(dtype)) throw this.#wrong(`tensors.${at}.dtype`, 'unknown dtype');
    if (!isShape(shape)) throw this.#wrong(`tensors.${at}.shape`, `it is no list of at most ${MAX_SIDES} counts`);
    if (this.#names.has(name)) throw new FedStreamError('bad-manifest', `the manifest of ${this.#source} names ${name} twice`);
    this.#names.add(name);
    dtypeBytes(dtype as Dtype, elementCount(shape));
    this.#tensors.push({ name, dtype, shape, encoding: this.#encoding(encoding, at) });
  }

  #encoding(value: unknown, at: number): Encoding {
    const encoding = value as Encoding;
    if (!hasOnly(value, [], ENCODING_FIELDS) || !isEncoding(encoding)) throw this.#wrong(`tensors.${at}.encoding`, 'it is no encoding');
    const { codec, blockSize = '', nested = '', parameters } = encoding;
    const key = `${codec} ${blockSize} ${nested} ${parameters ? JSON.stringify(parameters) : ''}`;
    const known = this.#encodings.get(key);
    if (known) return known;
    this.#encodings.set(key, encoding);
    return encoding;
  }

  #wrong(where: string, why: string): FedStreamError {
    return new FedStreamError('bad-manifest', `the manifest of ${this.#source} is wrong at ${where}: ${why}`);
  }
}

const TENSOR_FIELDS = ['name', 'dtype', 'shape', 'encoding'];
const ENCODING_FIELDS = ['codec', 'blockSize', 'nested', 'parameters'];

/** True for an object with all fields of `needed`, and no others but those of `allowed`. */
function hasOnly(
  value: unknown,
  needed: readonly string[],
  allowed: readonly string[] = needed,
): value is Readonly<Record<string, unknown>> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return false;
  for (const name in value) if (!allowed.includes(name)) return false;
  return needed.every((name) => Object.hasOwn(value, name));
}

function isCount(value: unknown, least: number, most = Number.MAX_SAFE_INTEGER): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most;
}

function isShape(value: unknown): value is number[] {
  return Array.isArray(value) && value.length <= MAX_SIDES && value.every((side) => isCount(side, 0));
}

function isEncoding({ codec, blockSize, nested, parameters }: Encoding): boolean {
  if (typeof codec !== 'string' || codec.length === 0 || codec.length > MAX_CODEC_LENGTH) return false;
  if (blockSize !== undefined && !isCount(blockSize, 1, MAX_CHUNK_ELEMENTS)) return false;
  if (nested !== undefined && typeof nested !== 'boolean') return false;
  if (parameters === undefined) return true;
  if (parameters === null || typeof parameters !== 'object' || Array.isArray(parameters)) return false;
  const entries = Object.entries(parameters);
  return entries.length <= MAX_PARAMETERS && entries.every(([name, value]) => PARAMETER_NAME.test(name) && Number.isFinite(value));
}
