// One codec on the SIMD kernels: the same bits as its reference.
import { FedStreamError } from '../core/errors.js';
import { blockwise8 } from './blockwise8.js';
import type { Codec, EncodeReport, Preparation, Prepared, RawValues } from './codec.js';
import { NESTED_BLOCK } from './four-bit.js';
import type { Kernels } from './kernel-types.js';
import { checkSizes, scaleView } from './scaling.js';
import { rawOf, type StagedKernel, type StageKernel, stagedKernel } from './staged-kernel.js';
import { uniformCodeBytes, uniformScaleBytes } from './uniform.js';
import type { UniformBits } from './uniform-block.js';

const NO_REPORT: EncodeReport = { saturated: 0 };

/** A codec on the kernels, given the reference codec of the same encoding. */
type KernelCodec = (kernels: Kernels, reference: Codec) => Codec;

export const fp16Codec: KernelCodec = (kernels, reference) =>
  codec(kernels, reference, stagedKernel(kernels, fp16Kernel(kernels)), noScales);

export const bf16Codec: KernelCodec = (kernels, reference) =>
  codec(kernels, reference, stagedKernel(kernels, bf16Kernel(kernels)), noScales);

export const blockwise8Codec: KernelCodec = (kernels, reference) => blockCodec(kernels, reference, blockwise8Kernel);

export function fourBitCodec(isNf4: 0 | 1): KernelCodec {
  return (kernels, reference) => blockCodec(kernels, reference, (k, blockSize) => fourBitKernel(k, blockSize, isNf4));
}

export function uniformCodec(bits: UniformBits): KernelCodec {
  return (kernels, reference) =>
    codec(kernels, reference, stagedKernel(kernels, uniformKernel(kernels, bits)), plainScales(uniformScaleBytes));
}

function blockCodec(kernels: Kernels, reference: Codec, kernel: (kernels: Kernels, blockSize: number) => StageKernel): Codec {
  const { blockSize = 0, nested } = reference.encoding;
  const staged = stagedKernel(kernels, kernel(kernels, blockSize));
  return codec(kernels, reference, staged, nested ? nestedScales(kernels, blockSize) : plainScales(blockScaleBytes(blockSize)));
}

/** How the scales of a chunk lie in its bytes: `write` and `read` go between them and plain float32 scales. */
interface ScaleLayout {
  /** Plain scales of `elements`, where they lie in `coded` themselves or beside it. */
  room(elements: number, coded: Uint8Array): Uint8Array;
  bytes(elements: number): number;
  write(plain: Uint8Array, coded: Uint8Array, prepared: Prepared | undefined): void;
  read(coded: Uint8Array, plain: Uint8Array): void;
  prepare?(): Preparation;
}

/** The reference codec knows the sizes; only the work is done elsewhere. */
function codec(kernels: Kernels, reference: Codec, kernel: StagedKernel, layout: ScaleLayout): Codec {
  const { encoding, encodedBytes, blockSize } = reference;
  const encodeRaw = (from: RawValues, elements: number, to: Uint8Array, prepared?: Prepared): EncodeReport => {
    checkSizes(encoding.codec, elements, encodedBytes(elements), to);
    const scales = layout.room(elements, to);
    const saturated = kernel.encode(from, elements, scales, to.subarray(layout.bytes(elements)));
    layout.write(scales, to, prepared);
    return saturated === 0 ? NO_REPORT : { saturated };
  };
  const scalesOf = (from: Uint8Array, elements: number): Uint8Array => {
    checkSizes(encoding.codec, elements, encodedBytes(elements), from);
    const scales = layout.room(elements, from);
    layout.read(from, scales);
    return scales;
  };
  return {
    encoding,
    blockSize,
    encodedBytes,
    memory: kernels.memory,
    onThreads: true,
    ...(layout.prepare ? { prepare: layout.prepare } : {}),
    encode: (from, to, prepared) => encodeRaw(rawOf(from), from.length, to, prepared),
    decode: (from, to) => kernel.decode(scalesOf(from, to.length), from.subarray(layout.bytes(to.length)), to.length, rawOf(to)),
    accumulate: (from, weight, into) =>
      kernel.accumulate(scalesOf(from, into.length), from.subarray(layout.bytes(into.length)), weight, into),
    encodeRaw,
    decodeRaw: (from, elements, to) => kernel.decode(scalesOf(from, elements), from.subarray(layout.bytes(elements)), elements, to),
  };
}

const NONE = new Uint8Array(0);

const noScales: ScaleLayout = { room: () => NONE, bytes: () => 0, write: () => {}, read: () => {} };

function plainScales(bytes: (elements: number) => number): ScaleLayout {
  return { bytes, room: (elements, coded) => coded.subarray(0, bytes(elements)), write: () => {}, read: () => {} };
}

/** docs/spec/codecs.md, nested scales: float32 offset, then the scales less the offset, coded as blockwise8 in blocks of 256. */
function nestedScales(kernels: Kernels, blockSize: number): ScaleLayout {
  const inner = blockwise8Codec(kernels, blockwise8(NESTED_BLOCK));
  const count = (elements: number): number => Math.ceil(elements / blockSize);
  const bytes = (elements: number): number => 4 + inner.encodedBytes(count(elements));
  let scratch = new Float32Array(0);
  return {
    bytes,
    prepare: () => meanOfScales(kernels, blockSize),
    room(elements) {
      if (scratch.length < count(elements)) scratch = new Float32Array(count(elements));
      return new Uint8Array(scratch.buffer, 0, 4 * count(elements));
    },
    write(plain, coded, prepared) {
      if (!prepared) throw new FedStreamError('internal', 'nested scales are coded without the mean of the tensor’s scales');
      scaleView(coded).setFloat32(0, prepared.offset, true);
      const scales = scratch.subarray(0, plain.length / 4);
      for (let i = 0; i < scales.length; i++) scales[i] = (scales[i] as number) - prepared.offset;
      inner.encode(scales, coded.subarray(4, 4 + inner.encodedBytes(scales.length)));
    },
    read(coded, plain) {
      const offset = scaleView(coded).getFloat32(0, true);
      const scales = scratch.subarray(0, plain.length / 4);
      inner.decode(coded.subarray(4, 4 + inner.encodedBytes(scales.length)), scales);
      for (let i = 0; i < scales.length; i++) scales[i] = (scales[i] as number) + offset;
    },
  };
}

/** mean(absmax) over the tensor, accumulated in float64 in the order of the blocks, rounded to float32. */
function meanOfScales(kernels: Kernels, blockSize: number): Preparation {
  const absmaxes = stagedKernel(kernels, absmaxKernel(kernels, blockSize));
  let scales = new Float32Array(0);
  let sum = 0;
  let blocks = 0;
  return {
    push(chunk) {
      const count = Math.ceil(chunk.length / blockSize);
      if (scales.length < count) scales = new Float32Array(count);
      absmaxes.encode(rawOf(chunk), chunk.length, new Uint8Array(scales.buffer), NONE);
      for (let i = 0; i < count; i++) sum += scales[i] as number;
      blocks += count;
    },
    finish: () => ({ offset: Math.fround(blocks === 0 ? 0 : sum / blocks) }),
  };
}

const blockScaleBytes = (blockSize: number) => (elements: number) => 4 * Math.ceil(elements / blockSize);

function blockwise8Kernel({ run }: Kernels, blockSize: number): StageKernel {
  return {
    scaleBytes: blockScaleBytes(blockSize),
    codeBytes: (elements) => elements,
    encode: (values, count, scales, codes) => run.encodeBlockwise8(values, count, blockSize, scales, codes),
    decode: (scales, codes, count, values) => run.decodeBlockwise8(scales, codes, count, blockSize, values),
    accumulate: (scales, codes, count, weight, values) => run.accumulateBlockwise8(scales, codes, count, blockSize, weight, values),
    saturated: () => 0,
  };
}

function fourBitKernel({ run }: Kernels, blockSize: number, isNf4: 0 | 1): StageKernel {
  const encode = isNf4 ? run.encodeNf4 : run.encodeFp4;
  return {
    scaleBytes: blockScaleBytes(blockSize),
    codeBytes: (elements) => (elements + 1) >>> 1,
    encode: (values, count, scales, codes) => encode(values, count, blockSize, scales, codes),
    decode: (scales, codes, count, values) => run.decodeFourBit(isNf4, scales, codes, count, blockSize, values),
    accumulate: (scales, codes, count, weight, values) => run.accumulateFourBit(isNf4, scales, codes, count, blockSize, weight, values),
    saturated: () => 0,
  };
}

function uniformKernel({ run }: Kernels, bits: UniformBits): StageKernel {
  return {
    scaleBytes: uniformScaleBytes,
    codeBytes: (elements) => uniformCodeBytes(bits, elements),
    encode: (values, count, scales, codes) => run.encodeUniform(bits, values, count, scales, codes),
    decode: (scales, codes, count, values) => run.decodeUniform(bits, scales, codes, count, values),
    accumulate: (scales, codes, count, weight, values) => run.accumulateUniform(bits, scales, codes, count, weight, values),
    saturated: () => 0,
  };
}

function fp16Kernel({ run }: Kernels): StageKernel {
  return {
    scaleBytes: () => 0,
    codeBytes: (elements) => 2 * elements,
    encode: (values, count, _scales, codes) => run.encodeFp16(values, count, codes),
    decode: (_scales, codes, count, values) => run.decodeFp16(codes, count, values),
    accumulate: (_scales, codes, count, weight, values) => run.accumulateFp16(codes, count, weight, values),
    saturated: () => run.saturatedCount(),
  };
}

function bf16Kernel({ run }: Kernels): StageKernel {
  return {
    scaleBytes: () => 0,
    codeBytes: (elements) => 2 * elements,
    encode: (values, count, _scales, codes) => run.encodeBf16(values, count, codes),
    decode: (_scales, codes, count, values) => run.decodeBf16(codes, count, values),
    accumulate: (_scales, codes, count, weight, values) => run.accumulateBf16(codes, count, weight, values),
    saturated: () => 0,
  };
}

/** Scales alone. */
function absmaxKernel({ run }: Kernels, blockSize: number): StageKernel {
  const decodesNothing = (): never => {
    throw new FedStreamError('internal', 'block scales alone are not decoded');
  };
  return {
    scaleBytes: blockScaleBytes(blockSize),
    codeBytes: () => 0,
    encode: (values, count, scales) => run.blockAbsmaxes(values, count, blockSize, scales),
    decode: decodesNothing,
    accumulate: decodesNothing,
    saturated: () => 0,
  };
}
