// The built-in trainer's engine: a Llama model in shared memory, trained by threads besides the
// caller's.
import { FedStreamError } from '../../core/errors.js';
import { randomStream } from '../../core/random.js';
import { chunkPlaces } from '../../tensor/chunks.js';
import { isKnownExtra } from '../../tensor/known-extras.js';
import { CHUNK_ELEMENTS, type Manifest, RAW } from '../../tensor/manifest.js';
import type { ChunkRange, StateDict } from '../../tensor/state-dict.js';
import { type Arena, type ArenaSize, HEAD_ROWS, layOutArena, SQUARES_CHUNK } from './arena.js';
import { type Batch, IGNORED, writeBatch } from './batch.js';
import type { LlamaConfig } from './config.js';
import type { MicroBatch } from './forward.js';
import { type Guide, layOutGuide } from './guide.js';
import { EMBEDDING, HEAD, llamaManifest, type Parameter } from './parameters.js';
import { checkPositions } from './positions.js';
import { type Place, type Put, readTensors } from './read-tensors.js';
import { writeRotaryTable } from './rope-frequencies.js';
import type { Command, ThreadInit } from './thread.js';
import { gradientNorm, type OptimizerSettings } from './update.js';

/** Runs each command on every thread. In Node.js, worker threads. */
export interface ThreadPool {
  /** Resolves once all threads are through. */
  run(command: Command): Promise<void>;
  close(): Promise<void>;
}

/** Options of the engine. */
export interface EngineOptions {
  readonly config: LlamaConfig;
  readonly size: ArenaSize;
  readonly optimizer: OptimizerSettings;
  readonly module: WebAssembly.Module;
  startThreads(init: Omit<ThreadInit, 'index'>): Promise<ThreadPool>;
}

/** Figures of an optimizer step. */
export interface StepResult {
  /** Mean cross-entropy a target token, in nats. */
  readonly loss: number;
  readonly gradientNorm: number;
  readonly targetTokens: number;
}

/** Figures of an evaluated batch. */
export interface EvaluationResult {
  readonly lossSum: number;
  readonly targetTokens: number;
  /**
   * For each sequence: true if every target is the arg max, that is, if greedy decoding would give
   * exactly the targets.
   */
  readonly exact: readonly boolean[];
}

/** Terms that are added to the gradients of a task's steps. */
export interface GuideOptions {
  /**
   * FedProx: adds mu × (weights − weights at the call of `guide`) to the gradients; 0 adds nothing.
   */
  readonly mu?: number;
  /**
   * SCAFFOLD: adds control − own to the gradients. Both have the model's tensors, raw; a missing
   * `own` is 0.
   */
  readonly control?: StateDict;
  readonly own?: StateDict;
}

const PAGE_BYTES = 65_536;
/** The module declares this maximum (assembly/targets.json). */
const MAX_PAGES = 65_536;

/**
 * Lays out the memory and starts the threads; throws `limit` if the model is too large for 4 GiB,
 * `bad-model` if its rotary embeddings do not reach so far.
 */
export async function startEngine(options: EngineOptions): Promise<LlamaEngine> {
  const { config, size, optimizer, module } = options;
  // Sequences are padded to a multiple of 8, and padding is no part of a sample.
  checkPositions(config, size.maxSequence - 7);
  const arena = layOutArena(config, size);
  const memory = new WebAssembly.Memory({ initial: Math.ceil(arena.totalBytes / PAGE_BYTES), maximum: MAX_PAGES, shared: true });
  writeRotaryTable(config, new Float32Array(memory.buffer, arena.rotary, size.maxSequence * config.headDim));
  const threads = await options.startThreads({ module, memory, config, size, optimizer });
  return new LlamaEngine(options, arena, memory, threads);
}

/** A model and its training. Callers wait for each call to end before the next one. */
export class LlamaEngine {
  readonly config: LlamaConfig;
  readonly #options: EngineOptions;
  readonly #arena: Arena;
  readonly #memory: WebAssembly.Memory;
  readonly #threads: ThreadPool;
  #step = 0;
  #guide: Guide | undefined;

  constructor(options: EngineOptions, arena: Arena, memory: WebAssembly.Memory, threads: ThreadPool) {
    this.config = options.config;
    this.#options = options;
    this.#arena = arena;
    this.#memory = memory;
    this.#threads = threads;
  }

  /** Bytes of the whole memory. */
  get memoryBytes(): number {
    return this.#arena.totalBytes;
  }

  /**
   * Sets normal weights with the configuration's standard deviation, norms of 1 and biases of 0; each
   * tensor has a random stream of its own.
   */
  initialize(seed: number): void {
    for (const parameter of this.#arena.parameters.list) {
      const values = this.#floats(this.#arena.weights, parameter);
      const random = randomStream(seed, 'initial weights', parameter.name);
      if (parameter.kind === 'matrix') for (let i = 0; i < values.length; i++) values[i] = random.normal() * this.config.initializerRange;
      else values.fill(parameter.kind === 'norm' ? 1 : 0);
    }
    this.resetOptimizer();
  }

  /**
   * Loads the weights of a raw model in F32, F16 or BF16; throws `bad-model`, which names the first
   * tensor that does not fit, or a head that is stored beside the embedding it should be tied to and
   * has other values.
   */
  async load(model: StateDict): Promise<void> {
    const { weights, gradients, parameters } = this.#arena;
    const wanted = this.#places(weights);
    const embedding = parameters.list[0] as Parameter;
    const has = (wanted: string): boolean => model.manifest.tensors.some(({ name }) => name === wanted);
    const stored = this.config.tied && has(HEAD) && has(EMBEDDING);
    // A step begins with new gradients, so that their memory can take what is only compared.
    if (stored) wanted.set(HEAD, this.#place(gradients, embedding));
    // Of two tied tensors some programs keep the one whose name comes first.
    else if (this.config.tied && has(HEAD)) {
      wanted.delete(EMBEDDING);
      wanted.set(HEAD, this.#place(weights, embedding));
    }
    await readTensors(model, wanted, { what: 'the model', isIgnored: isKnownExtra });
    const head = this.#floats(gradients, embedding);
    if (stored && this.#floats(weights, embedding).some((value, i) => value !== head[i]))
      throw new FedStreamError(
        'bad-model',
        `config.json ties ${HEAD} to ${EMBEDDING} (tie_word_embeddings), and the file has other values for it; set tie_word_embeddings to false if the model was trained with both`,
      );
  }

  /** The current weights, lazy: chunks are copied out of the shared memory when they are read. */
  weights(): StateDict {
    const manifest = llamaManifest(this.config);
    return { manifest, chunks: (range) => this.#chunks(manifest, range, this.#arena.weights) };
  }

  /**
   * Adds terms to the gradients of every step from now on, relative to the weights that are loaded.
   * Without `mu` and `control` it adds nothing, and steps are the same, to the bit, as without this
   * call. Throws `bad-model` for a tensor that does not fit, `limit` if there is no room.
   */
  async guide({ mu = 0, control, own }: GuideOptions): Promise<void> {
    this.#guide = undefined;
    if (mu === 0 && !control) return;
    const room = layOutGuide(this.#arena);
    const missing = Math.ceil((room.totalBytes - this.#memory.buffer.byteLength) / PAGE_BYTES);
    if (missing > 0) this.#memory.grow(missing);
    const { total } = this.#arena.parameters;
    const floats = (base: number): Float32Array => new Float32Array(this.#memory.buffer, base, total);
    if (mu > 0) floats(room.anchor).set(floats(this.#arena.weights));
    if (control) {
      for (const base of [room.correction, room.gradientSum]) floats(base).fill(0);
      const places = this.#places(room.correction);
      await readTensors(control, places, { what: 'the control variate of the server' });
      if (own) await readTensors(own, places, { what: 'the control variate of the site', put: subtractFrom });
    }
    this.#guide = { ...room, mu, isCorrected: control !== undefined };
  }

  /**
   * The mean of the gradients of the last `steps` steps, as they were before `control` corrected
   * them; lazy, to be read before the next `guide`.
   */
  meanGradient(steps: number): StateDict {
    const guide = this.#guide;
    if (!guide?.isCorrected) throw new FedStreamError('internal', 'gradients are summed up only where a control variate guides them');
    const manifest = llamaManifest(this.config);
    const sums = (range?: ChunkRange) => this.#chunks(manifest, range, guide.gradientSum);
    async function* chunks(range?: ChunkRange) {
      for await (const chunk of sums(range)) {
        const values = new Float32Array(chunk.bytes.buffer);
        for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) / steps;
        yield chunk;
      }
    }
    return { manifest, chunks };
  }

  /**
   * Mixes given values into some of the weights: `alpha × own + (1 − alpha) × given`, in float32.
   * Throws `bad-model` for a tensor that the model does not have, or that has another shape.
   */
  async merge(part: StateDict, alpha: number): Promise<void> {
    const places = this.#places(this.#arena.weights);
    const wanted = new Map([...places].filter(([name]) => part.manifest.tensors.some((tensor) => tensor.name === name)));
    const isIgnored = (name: string): boolean => isKnownExtra(name) || (this.config.tied && name === HEAD);
    await readTensors(part, wanted, { what: 'the part of the model', isIgnored, put: mixed(alpha) });
  }

  /** Weights, moments and step count: all that training goes on from; lazy, to be read before the next step. */
  saveState(): StateDict {
    const { manifest: optimizer } = this.saveOptimizer();
    const own = this.#arena.parameters.list.map(({ name, shape }) => ({ name: `w.${name}`, dtype: 'F32' as const, shape, encoding: RAW }));
    const manifest: Manifest = { ...optimizer, tensors: [...optimizer.tensors, ...own] };
    const { firstMoments, secondMoments, weights } = this.#arena;
    return { manifest, chunks: (range) => this.#chunks(manifest, range, firstMoments, secondMoments, weights) };
  }

  /** Loads what `saveState` gave; throws `bad-model` where it does not fit. */
  async loadState(state: StateDict): Promise<void> {
    await this.loadOptimizer(state);
    await readTensors(state, this.#places(this.#arena.weights, 'w.'), { what: 'the kept state' });
  }

  /** The optimizer's moments, with the step count in the metadata as `step`. */
  saveOptimizer(): StateDict {
    const tensors = (['m', 'v'] as const).flatMap((kind) =>
      this.#arena.parameters.list.map(({ name, shape }) => ({ name: `${kind}.${name}`, dtype: 'F32' as const, shape, encoding: RAW })),
    );
    const manifest: Manifest = { tensors, chunkElements: CHUNK_ELEMENTS, tied: {}, metadata: { step: String(this.#step) } };
    return { manifest, chunks: (range) => this.#chunks(manifest, range, this.#arena.firstMoments, this.#arena.secondMoments) };
  }

  async loadOptimizer(state: StateDict): Promise<void> {
    const step = Number(state.manifest.metadata.step);
    if (!Number.isSafeInteger(step) || step < 0)
      throw new FedStreamError('bad-model', 'the optimizer state does not say its step; remove it to begin anew');
    const places = new Map([...this.#places(this.#arena.firstMoments, 'm.'), ...this.#places(this.#arena.secondMoments, 'v.')]);
    await readTensors(state, places, { what: 'the optimizer state' });
    this.#step = step;
  }

  resetOptimizer(): void {
    const { firstMoments, secondMoments, parameters } = this.#arena;
    for (const base of [firstMoments, secondMoments]) new Float32Array(this.#memory.buffer, base, parameters.total).fill(0);
    this.#step = 0;
  }

  /**
   * Does one optimizer step over the targets of all micro-batches together. Throws `non-finite`
   * before any weight is changed.
   */
  async trainStep(microBatches: readonly Batch[], learningRate: number): Promise<StepResult> {
    const { loss, targetTokens } = await this.#accumulate(microBatches);
    if (this.#guide) await this.#threads.run({ type: 'guide', guide: this.#guide });
    await this.#threads.run({ type: 'square-gradients' });
    const norm = gradientNorm(this.#squarePartials());
    if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
      throw new FedStreamError(
        'non-finite',
        `the loss is ${loss} and the gradient's norm ${norm}; lower the learning rate, or look at the data`,
      );
    }
    await this.#threads.run({ type: 'update', learningRate, step: ++this.#step });
    return { loss, gradientNorm: norm, targetTokens };
  }

  async #accumulate(microBatches: readonly Batch[]): Promise<{ loss: number; targetTokens: number }> {
    const { microBatches: most = Number.POSITIVE_INFINITY } = this.#options.size;
    if (microBatches.length > most)
      throw new FedStreamError('bad-argument', `a step has ${microBatches.length} micro-batches; the trainer was made for ${most}`);
    let targetTokens = 0;
    for (const batch of microBatches) for (const target of batch.targets) if (target >= 0) targetTokens++;
    if (targetTokens === 0)
      throw new FedStreamError('bad-data', 'a batch has no token that counts; answers are cut off, or empty. Raise train.maxTokens');
    await this.#threads.run({ type: 'zero-gradients' });
    let lossSum = 0;
    for (const batch of microBatches) {
      const micro = this.#write(batch);
      if (micro.targets === 0) continue;
      await this.#threads.run({ type: 'train', micro, scale: 1 / targetTokens });
      for (const loss of this.#losses(micro)) lossSum += loss;
    }
    return { loss: lossSum / targetTokens, targetTokens };
  }

  /** Loss and gradients without an update, for tests. The gradients are copied at once. */
  async lossAndGradients(batch: Batch): Promise<{ loss: number; gradients: StateDict }> {
    const { loss } = await this.#accumulate([batch]);
    const manifest = llamaManifest(this.config);
    return { loss, gradients: { manifest, chunks: (range) => this.#chunks(manifest, range, this.#arena.gradients) } };
  }

  async evaluate(batch: Batch): Promise<EvaluationResult> {
    const micro = this.#write(batch);
    await this.#threads.run({ type: 'evaluate', micro });
    const exact = Array.from({ length: batch.batch }, () => true);
    const figures = new Float32Array(this.#memory.buffer, this.#arena.figures, micro.targets * 4);
    const rows = new Int32Array(this.#memory.buffer, this.#arena.targetRows, micro.targets);
    for (let i = 0; i < micro.targets; i++) if (figures[4 * i + 3] !== 1) exact[Math.floor((rows[i] as number) / batch.sequence)] = false;
    let lossSum = 0;
    for (const loss of this.#losses(micro)) lossSum += loss;
    return { lossSum, targetTokens: micro.targets, exact };
  }

  /** Logits of every position, [batch × sequence, vocabulary]. */
  async logits(tokens: Int32Array, batch: number, sequence: number): Promise<Float32Array> {
    const { vocabularySize } = this.config;
    const logits = new Float32Array(tokens.length * vocabularySize);
    for (let first = 0; first < tokens.length; first += HEAD_ROWS) {
      const targets = new Int32Array(tokens.length).fill(IGNORED).fill(0, first, first + HEAD_ROWS);
      const micro = this.#write({ tokens, targets, batch, sequence });
      await this.#threads.run({ type: 'evaluate', micro });
      const found = new Float32Array(this.#memory.buffer, this.#arena.logits, micro.targets * vocabularySize);
      logits.set(found, first * vocabularySize);
    }
    return logits;
  }

  close(): Promise<void> {
    return this.#threads.close();
  }

  #write(batch: Batch): MicroBatch {
    return writeBatch(batch, this.config, this.#options.size, this.#arena, this.#memory);
  }

  /** The loss of each row, log(sum e^(x - max)) + max - x_target, in float64. */
  *#losses({ targets }: MicroBatch): Generator<number> {
    const figures = new Float32Array(this.#memory.buffer, this.#arena.figures, targets * 4);
    for (let i = 0; i < targets; i++)
      yield Math.log(figures[4 * i + 1] as number) + (figures[4 * i] as number) - (figures[4 * i + 2] as number);
  }

  #squarePartials(): Float64Array {
    const { squarePartials, parameters } = this.#arena;
    return new Float64Array(this.#memory.buffer, squarePartials, Math.ceil(parameters.total / SQUARES_CHUNK));
  }

  #floats(base: number, parameter: Parameter): Float32Array {
    return new Float32Array(this.#memory.buffer, base + parameter.start * 4, parameter.elements);
  }

  /** The parameters from one array after the other. */
  async *#chunks(manifest: Manifest, range: ChunkRange | undefined, ...bases: number[]) {
    const { list } = this.#arena.parameters;
    for (const place of chunkPlaces(manifest, range)) {
      const from = bases[Math.floor(place.tensorIndex / list.length)] as number;
      const values = this.#floats(from, list[place.tensorIndex % list.length] as Parameter);
      const part = values.slice(place.firstElement, place.firstElement + place.elements);
      yield { ...place, bytes: new Uint8Array(part.buffer) };
    }
  }

  /** The places of all parameters in one of the arrays. */
  #places(base: number, prefix = ''): Map<string, Place> {
    return new Map(this.#arena.parameters.list.map((parameter) => [prefix + parameter.name, this.#place(base, parameter)]));
  }

  #place(base: number, parameter: Parameter): Place {
    return { shape: parameter.shape, values: this.#floats(base, parameter) };
  }
}

const subtractFrom: Put = (to, values, first) => {
  for (let i = 0; i < values.length; i++) to[first + i] = (to[first + i] as number) - (values[i] as number);
};

/** A mix with the values that are there; with `alpha` 0, the given ones to the bit. */
function mixed(alpha: number): Put {
  const share = Math.fround(alpha);
  const rest = Math.fround(1 - alpha);
  if (alpha === 0) return (to, values, first) => to.set(values, first);
  return (to, values, first) => {
    for (let i = 0; i < values.length; i++)
      to[first + i] = Math.fround(Math.fround(share * (to[first + i] as number)) + Math.fround(rest * (values[i] as number)));
  };
}
