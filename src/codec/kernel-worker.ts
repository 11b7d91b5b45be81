// A worker thread of the codec pool: codes and decodes in the memory that all threads share.

import type { Dtype } from '../tensor/dtype.js';
import { type Encoding, RAW } from '../tensor/manifest.js';
import type { Codec, EncodeReport, Prepared } from './codec.js';
import { codecOf } from './codec-table.js';
import { workOnColumns } from './columns.js';
import { columnKernels } from './kernel-columns.js';
import { instantiateKernels } from './kernels.js';
import { momentBuffers, OPTIMIZER_RULES, type OptimizerRule } from './optimizer-step.js';
import { type RawCoder, rawCoder, written } from './raw-coding.js';
import { NonFiniteValue } from './scaling.js';
import { wasmCodecs } from './wasm-codecs.js';

/** The first message to a worker. */
export interface KernelSetup {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly arena: number;
  readonly arenas: number;
}

/** A range of bytes in the shared memory. */
export interface Span {
  readonly at: number;
  readonly length: number;
}

/** A job for a worker. */
export type KernelJob = CodeJob | ReduceJob | ColumnsJob;

/** Codes, decodes or adds one chunk. */
export interface CodeJob {
  readonly id: number;
  readonly work: 'encode' | 'decode' | 'accumulate';
  readonly encoding: Encoding;
  readonly elements: number;
  readonly dtype: Dtype;
  /** Raw values of `dtype`; for `accumulate`, float32 sums. */
  readonly values: Span;
  readonly coded: Span;
  readonly prepared?: Prepared | undefined;
  readonly weight?: number;
}

/**
 * Adds several chunks to one sum, in order, and checks the sum, measures it, codes it or makes a
 * step with it.
 */
export interface ReduceJob {
  readonly id: number;
  readonly work: 'reduce';
  readonly elements: number;
  /** Float32 sums. */
  readonly values: Span;
  readonly chunks: readonly { readonly encoding: Encoding; readonly coded: Span; readonly weight: number }[];
  readonly after?: CodeSpans | StepSpans | 'measure' | undefined;
}

/** An `OptimizerStep` whose buffers are ranges of the shared memory. */
export interface StepSpans {
  readonly rule: OptimizerRule;
  readonly model: Span;
  readonly moments: readonly Span[];
}

/** A `CodeStep` whose buffers are ranges of the shared memory. */
export interface CodeSpans {
  readonly encoding: Encoding;
  readonly coded: Span;
  readonly prepared?: Prepared | undefined;
  readonly addTo?: { readonly into: Span; readonly weight: number } | undefined;
}

/** Decodes rows and works on their columns. */
export interface ColumnsJob {
  readonly id: number;
  readonly work: 'columns';
  /** Float32 rows, one after the other. */
  readonly decoded: Span;
  readonly rows: readonly { readonly encoding: Encoding; readonly coded: Span }[];
  /** The row that the step's buffer is: `into`, or `less`. */
  readonly beside: Span | undefined;
  readonly step:
    | { readonly rule: 'middle'; readonly trim: number }
    | { readonly rule: 'nearMedian'; readonly keep: number }
    | { readonly rule: 'products' };
}

/** A worker's answer to a job. */
export interface KernelAnswer {
  readonly id: number;
  readonly report?: EncodeReport;
  /** The first infinite or NaN value. */
  readonly nonFinite?: { readonly index: number; readonly value: number };
  readonly error?: string;
}

/** The worker's side: call it with every message, and send back what it returns. */
export function kernelWorker(setup: KernelSetup): (job: KernelJob) => KernelAnswer {
  const { bytes, ...kernels } = instantiateKernels(setup.module, setup.memory, setup.arena, setup.arenas);
  const table = wasmCodecs({ bytes, ...kernels });
  const coder = rawCoder();
  const made = new Map<string, Codec>();
  const codecFor = (encoding: Encoding): Codec => {
    const key = JSON.stringify(encoding);
    const codec = made.get(key) ?? codecOf(table, encoding);
    made.set(key, codec);
    return codec;
  };
  const at = ({ at, length }: Span): Uint8Array => bytes.subarray(at, at + length);
  const refuseNonFinite = (values: Span, sum: Float32Array): void => {
    const bad = kernels.run.nonFiniteIndex(values.at, sum.length);
    if (bad >= 0) throw new NonFiniteValue(bad, sum[bad] as number);
  };
  const code = (values: Span, sum: Float32Array, { encoding, coded, prepared, addTo }: CodeSpans): EncodeReport => {
    if (encoding.codec === 'raw') {
      refuseNonFinite(values, sum);
      bytes.copyWithin(coded.at, values.at, values.at + 4 * sum.length);
      if (addTo) kernels.run.accumulateF32(values.at, sum.length, addTo.weight, addTo.into.at);
      return NO_REPORT;
    }
    const codec = codecFor(encoding);
    const report = codec.encode(sum, at(coded), prepared);
    if (addTo) codec.accumulate(written(codec, at(coded), report), addTo.weight, new Float32Array(bytes.buffer, addTo.into.at, sum.length));
    return report;
  };
  const step = (values: Span, elements: number, { rule, model, moments }: StepSpans): EncodeReport => {
    const { first, second } = momentBuffers(rule, values, moments);
    const { keep, rate, beta1, beta2, tau } = rule;
    const numbers = [keep, rate, beta1, 1 - beta1, beta2, 1 - beta2, tau] as const;
    const number = OPTIMIZER_RULES.indexOf(rule.name);
    const finite = kernels.run.optimizerStep(number, elements, values.at, model.at, first.at, second.at, ...numbers);
    if (finite === 0)
      for (const written of [model, ...moments]) refuseNonFinite(written, new Float32Array(bytes.buffer, written.at, elements));
    return NO_REPORT;
  };
  const reduce = ({ values, elements, chunks, after }: ReduceJob): EncodeReport => {
    const sum = new Float32Array(bytes.buffer, values.at, elements);
    for (const { encoding, coded, weight } of chunks) {
      if (encoding.codec === 'raw') kernels.run.accumulateF32(coded.at, elements, weight, values.at);
      else codecFor(encoding).accumulate(at(coded), weight, sum);
    }
    if (after !== undefined && after !== 'measure') return 'rule' in after ? step(values, elements, after) : code(values, sum, after);
    const squares = after && kernels.run.sumOfSquares(values.at, elements);
    // Squares of finite values have a finite sum.
    if (squares !== undefined && Number.isFinite(squares)) return { saturated: 0, squares };
    refuseNonFinite(values, sum);
    return NO_REPORT;
  };
  const floats = ({ at, length }: Span): Float32Array => new Float32Array(bytes.buffer, at, length / 4);
  const onColumns = columnKernels({ bytes, ...kernels });
  const columns = ({ decoded, rows, beside, step }: ColumnsJob): EncodeReport => {
    const values = floats(decoded);
    const elements = values.length / rows.length;
    for (const [i, { encoding, coded }] of rows.entries())
      if (encoding.codec !== RAW.codec) codecFor(encoding).decode(at(coded), values.subarray(i * elements, (i + 1) * elements));
    if (step.rule === 'products') return workOnColumns(onColumns, values, rows.length, { ...step, less: beside && floats(beside) });
    return workOnColumns(onColumns, values, rows.length, { ...step, into: floats(beside as Span) });
  };
  const work = (job: KernelJob): EncodeReport => {
    if (job.work === 'reduce') return reduce(job);
    if (job.work === 'columns') return columns(job);
    return perform(coder, codecFor(job.encoding), job, at(job.values), at(job.coded));
  };
  return (job) => {
    try {
      return { id: job.id, report: work(job) };
    } catch (error) {
      if (error instanceof NonFiniteValue) return { id: job.id, nonFinite: { index: error.index, value: error.value } };
      return { id: job.id, error: (error as Error).message };
    }
  };
}

const NO_REPORT: EncodeReport = { saturated: 0 };

function perform(coder: RawCoder, codec: Codec, job: CodeJob, values: Uint8Array, coded: Uint8Array): EncodeReport {
  const { work, dtype, elements, prepared } = job;
  if (work === 'encode') return coder.encode(codec, { dtype, bytes: values }, elements, coded, prepared);
  if (work === 'decode') coder.decode(codec, coded, elements, { dtype, bytes: values });
  else codec.accumulate(coded, job.weight as number, new Float32Array(values.buffer, values.byteOffset, elements));
  return NO_REPORT;
}
