// A pool of threads that run the kernels over one shared memory; each chunk is one thread's work.
import { FedStreamError } from '../core/errors.js';
import { type Encoding, RAW } from '../tensor/manifest.js';
import { rawEncoding, reduceHere } from './accumulate.js';
import type { AfterSum, Codec, CodecPool, ColumnStep, EncodeReport, WeightedChunk } from './codec.js';
import { columnsHere } from './columns.js';
import type { CodeJob, ColumnsJob, KernelAnswer, KernelJob, KernelSetup, ReduceJob, Span } from './kernel-worker.js';
import { instantiateKernels, kernelMemory } from './kernels.js';
import { rawCoder } from './raw-coding.js';
import { NonFiniteValue } from './scaling.js';
import { wasmCodecs } from './wasm-codecs.js';

/** A worker thread of any platform. */
export interface KernelThread {
  send(jobs: readonly KernelJob[]): void;
  close(): Promise<void>;
}

/** Reports of a thread to its pool. */
export interface ThreadEvents {
  answer(answers: readonly KernelAnswer[]): void;
  /** The thread is gone, and with it every job that it has not answered. */
  failed(error: Error): void;
}

/** Starts a thread that runs `kernelWorker` with the setup, and passes every answer on. */
export type StartThread = (setup: KernelSetup, events: ThreadEvents) => KernelThread;

/** Two chunks are in work on each thread, and two wait behind them. */
const CHUNKS_A_THREAD = 4;

interface Waiting {
  resolve(report: EncodeReport): void;
  reject(error: Error): void;
  readonly thread: number;
}

/** The parts of a pool. */
export interface CodecPoolOptions {
  /** The shared build of the kernels. */
  readonly module: WebAssembly.Module;
  readonly threads: number;
  readonly start: StartThread;
  /** Bytes of buffers to lend; pages that are never touched cost addresses, not memory. */
  readonly lentBytes?: number;
}

/**
 * Starts `threads` threads. Results do not depend on their number, since each chunk is one thread's
 * work.
 */
export function codecPool({ module, threads, start, lentBytes }: CodecPoolOptions): CodecPool {
  const arenas = threads + 1;
  const memory = kernelMemory({ arenas, shared: true, ...(lentBytes === undefined ? {} : { lentBytes }) });
  const kernels = instantiateKernels(module, memory, 0, arenas);
  const { bytes, memory: lent } = kernels;
  const codecs = wasmCodecs(kernels);
  const waiting = new Map<number, Waiting>();
  const busy = new Array<number>(threads).fill(0);
  let nextId = 0;
  let closed = false;

  const settle = (id: number): Waiting | undefined => {
    const found = waiting.get(id);
    if (!found) return undefined;
    waiting.delete(id);
    busy[found.thread] = (busy[found.thread] as number) - 1;
    return found;
  };
  const events = (thread: number): ThreadEvents => ({
    answer(answers) {
      for (const { id, report, nonFinite, error } of answers) {
        const job = settle(id);
        if (nonFinite) job?.reject(new NonFiniteValue(nonFinite.index, nonFinite.value));
        else if (report) job?.resolve(report);
        else job?.reject(new FedStreamError('internal', `a codec thread failed: ${error}`));
      }
    },
    failed(cause) {
      for (const [id, job] of waiting)
        if (job.thread === thread) settle(id)?.reject(new FedStreamError('internal', `a codec thread ended: ${cause.message}`, { cause }));
      closed = true;
    },
  });
  const workers = Array.from({ length: threads }, (_, index) => start({ module, memory, arena: index + 1, arenas }, events(index)));

  const span = ({ byteOffset: at, length }: Uint8Array): Span => ({ at, length });
  const reachable = (...parts: readonly Uint8Array[]): boolean => parts.every((part) => part.buffer === bytes.buffer);
  const onThreads = (codec: Codec | undefined, ...parts: readonly Uint8Array[]): boolean =>
    (codec === undefined || codec.onThreads === true) && reachable(...parts);
  const here = rawCoder();
  let active = 0;
  const outbox: KernelJob[][] = workers.map(() => []);
  const post = (job: KernelJob, thread: number): void => {
    const jobs = outbox[thread] as KernelJob[];
    jobs.push(job);
    if (jobs.length > 1) return; // the first job has scheduled the posting
    queueMicrotask(() => {
      for (const message of inTwos(jobs.splice(0))) workers[thread]?.send(message);
    });
  };
  const run = (job: Omit<CodeJob, 'id'> | Omit<ReduceJob, 'id'> | Omit<ColumnsJob, 'id'>): Promise<EncodeReport> =>
    new Promise((resolve, reject) => {
      if (closed) throw new FedStreamError('closed', 'the codec pool is closed');
      const thread = busy.indexOf(Math.min(...busy));
      const id = nextId++;
      waiting.set(id, { resolve, reject, thread });
      busy[thread] = (busy[thread] as number) + 1;
      post({ ...job, id }, thread);
    });
  return {
    threads,
    memory: lent,
    codecs,
    async encode(codec, from, elements, to, prepared) {
      if (!onThreads(codec, from.bytes, to)) return here.encode(codec, from, elements, to, prepared);
      const { dtype, bytes: values } = from;
      return run({ work: 'encode', encoding: codec.encoding, elements, dtype, values: span(values), coded: span(to), prepared });
    },
    async decode(codec, from, elements, to) {
      const { dtype, bytes: values } = to;
      if (!onThreads(codec, from, values)) here.decode(codec, from, elements, to);
      else await run({ work: 'decode', encoding: codec.encoding, elements, dtype, values: span(values), coded: span(from) });
    },
    async accumulate(codec, from, weight, into) {
      const sums = bytesOf(into);
      if (!onThreads(codec, from, sums)) codec.accumulate(from, weight, into);
      else {
        const { encoding } = codec;
        await run({ work: 'accumulate', encoding, elements: into.length, dtype: 'F32', values: span(sums), coded: span(from), weight });
      }
    },
    async reduce(chunks, into, after) {
      const sums = bytesOf(into);
      const { spans, parts, codec } = spansOf(after, span);
      const able = onThreads(codec, sums, ...parts) && chunks.every(({ codec, bytes: coded }) => onThreads(codec, coded));
      if (!able) return reduceHere(codecs, chunks, into, after);
      const work = chunks.map((chunk) => ({ encoding: addingEncoding(chunk), coded: span(chunk.bytes), weight: chunk.weight }));
      return run({ work: 'reduce', elements: into.length, values: span(sums), chunks: work, after: spans });
    },
    async columns(rows, decoded, step) {
      const beside = step.rule === 'products' ? step.less : step.into;
      const parts = [bytesOf(decoded), ...(beside ? [bytesOf(beside)] : [])];
      const coded = rows.flatMap(({ codec, bytes: row }) => (codec ? [{ codec, row }] : []));
      if (!reachable(...parts) || !coded.every(({ codec, row }) => onThreads(codec, row))) return columnsHere(rows, decoded, step);
      const spans = rows.map(({ codec, bytes: row }) => ({ encoding: codec?.encoding ?? RAW, coded: span(row) }));
      return run({
        work: 'columns',
        decoded: span(bytesOf(decoded)),
        rows: spans,
        beside: beside && span(bytesOf(beside)),
        step: stepOf(step),
      });
    },
    enter() {
      active++;
      let inside = true;
      return () => {
        if (inside) active--;
        inside = false;
      };
    },
    get share() {
      return Math.max(1, Math.floor((threads * CHUNKS_A_THREAD) / Math.max(1, active)));
    },
    async close() {
      closed = true;
      for (const worker of workers) await worker.close();
      for (const id of [...waiting.keys()]) settle(id)?.reject(new FedStreamError('closed', 'the codec pool is closed'));
    },
  };
}

/** What is done with a sum, for a thread: ranges of the shared memory in place of buffers. */
function spansOf(
  after: AfterSum | undefined,
  span: (part: Uint8Array) => Span,
): { readonly spans: ReduceJob['after']; readonly parts: readonly Uint8Array[]; readonly codec?: Codec | undefined } {
  if (after === undefined || after === 'measure') return { spans: after, parts: [] };
  if ('rule' in after) {
    const [model, ...moments] = [after.model, ...after.moments].map(bytesOf) as [Uint8Array, ...Uint8Array[]];
    return { spans: { rule: after.rule, model: span(model), moments: moments.map(span) }, parts: [model, ...moments] };
  }
  const { codec, to, prepared, addTo } = after;
  const into = addTo && bytesOf(addTo.into);
  const adding = addTo && into && { into: span(into), weight: addTo.weight };
  return { spans: { encoding: codec?.encoding ?? RAW, coded: span(to), prepared, addTo: adding }, parts: into ? [to, into] : [to], codec };
}

/** A step without its buffer, which a thread finds by its span. */
function stepOf(step: ColumnStep): ColumnsJob['step'] {
  if (step.rule === 'middle') return { rule: step.rule, trim: step.trim };
  return step.rule === 'nearMedian' ? { rule: step.rule, keep: step.keep } : { rule: step.rule };
}

function addingEncoding({ codec, dtype }: WeightedChunk): Encoding {
  return codec?.encoding ?? rawEncoding(dtype);
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/**
 * A message costs some 40 µs on both sides, and a MiB some 200 µs of work: two jobs in a message,
 * and two messages on their way to each thread, leave neither side waiting (measured: 1.8 × one
 * thread on two, against 1.6 with a job in each message).
 */
function inTwos<T>(items: readonly T[]): T[][] {
  const pairs: T[][] = [];
  for (let i = 0; i < items.length; i += 2) pairs.push(items.slice(i, i + 2));
  return pairs;
}
