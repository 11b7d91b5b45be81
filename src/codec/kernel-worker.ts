// A worker thread of the codec pool: codes and decodes in the memory that all threads share.

import type { Dtype } from '../tensor/dtype.js';
import type { Encoding } from '../tensor/manifest.js';
import type { Codec, EncodeReport, Prepared } from './codec.js';
import { codecOf } from './codec-table.js';
import { instantiateKernels } from './kernels.js';
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
export type KernelJob = CodeJob | ReduceJob;

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

/** Adds several chunks to one sum, in order, and checks the sum, measures it or codes it. */
export interface ReduceJob {
  readonly id: number;
  readonly work: 'reduce';
  readonly elements: number;
  /** Float32 sums. */
  readonly values: Span;
  readonly chunks: readonly { readonly encoding: Encoding; readonly coded: Span; readonly weight: number }[];
  readonly after?: CodeSpans | 'measure' | undefined;
}

/** A `CodeStep` whose buffers are ranges of the shared memory. */
export interface CodeSpans {
  readonly encoding: Encoding;
  readonly coded: Span;
  readonly prepared?: Prepared | undefined;
  readonly addTo?: { readonly into: Span; readonly weight: number } | undefined;
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
  const reduce = ({ values, elements, chunks, after }: ReduceJob): EncodeReport => {
    const sum = new Float32Array(bytes.buffer, values.at, elements);
    for (const { encoding, coded, weight } of chunks) {
      if (encoding.codec === 'raw') kernels.run.accumulateF32(coded.at, elements, weight, values.at);
      else codecFor(encoding).accumulate(at(coded), weight, sum);
    }
    if (after !== undefined && after !== 'measure') return code(values, sum, after);
    const squares = after && kernels.run.sumOfSquares(values.at, elements);
    // Squares of finite values have a finite sum.
    if (squares !== undefined && Number.isFinite(squares)) return { saturated: 0, squares };
    refuseNonFinite(values, sum);
    return NO_REPORT;
  };
  return (job) => {
    try {
      const report = job.work === 'reduce' ? reduce(job) : perform(coder, codecFor(job.encoding), job, at(job.values), at(job.coded));
      return { id: job.id, report };
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
