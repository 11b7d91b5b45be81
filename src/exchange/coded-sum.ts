// A sum of models coded into a spool, with a second file from the same pass: the residual, or the
// model that a receiver then holds.
import type { Codec, CodecTable, EncodeReport, Prepared } from '../codec/codec.js';
import { codecOf } from '../codec/codec-table.js';
import { checkEncodings } from '../codec/layout.js';
import { poolFor } from '../codec/quantize.js';
import type { Folder } from '../core/storage.js';
import { LeafHasher } from '../stream/leaf-sums.js';
import { tensorRange } from '../tensor/chunks.js';
import { DTYPES, type Dtype } from '../tensor/dtype.js';
import { type Encoding, type Manifest, RAW, type TensorEntry } from '../tensor/manifest.js';
import type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';
import { type TensorFileWriter, writeTensorFile } from '../tensor/tensor-file.js';
import { type SpoolInfo, writeSpool } from '../transfer/spool.js';
import { type SumCode, type SumOptions, sumChunks } from './sum-chunks.js';

/** Options of `writeCodedSum`. */
export interface CodedSumOptions extends Omit<SumOptions, 'code' | 'pool'> {
  readonly encodingFor: (tensor: TensorEntry) => Encoding;
  readonly spool: FileName;
  readonly beside?: BesideFile | undefined;
  /** Makes the message that the coded sum is a part of; by default the sum is the whole message. */
  readonly message?: (coded: StateDict) => StateDict;
  onReport?(report: EncodeReport): void;
}

interface FileName {
  readonly folder: Folder;
  readonly name: string;
}

/**
 * A safetensors file that is written in the same pass. It survives a crash of the process; after a
 * crash of the machine, a reader must compare its digest.
 */
export interface BesideFile extends FileName {
  /** As `SumCode.beside`. */
  readonly of: 'kept' | number;
  /** True for the tensors that the file has. */
  has(tensor: TensorEntry): boolean;
  readonly metadata?: Readonly<Record<string, string>>;
  /** The dtype to which float32 tensors are rounded; they stay float32 by default. */
  readonly dtype?: 'BF16';
}

/** The spool and, if there is one, the file beside it, as they were written. */
export interface CodedSum {
  readonly info: SpoolInfo;
  /** Digest of the bytes of the file beside, in the order of its tensors; undefined without one. */
  readonly besideDigest?: string;
}

/**
 * Reads every model once, twice where scales are nested. Each file is written whole or not at all.
 */
export async function writeCodedSum(options: CodedSumOptions): Promise<CodedSum> {
  const { spool, beside, codecs, message = (coded) => coded } = options;
  const manifest = codedManifest(options);
  const write = (onBeside: OnBeside): Promise<SpoolInfo> =>
    writeSpool(message(codedSum(options, manifest, onBeside)), codecs, spool.folder, spool.name, { durable: false });
  if (!beside) return { info: await write(() => {}) };
  const narrow = beside.dtype && new Narrow(beside.dtype, codecs);
  const kept = manifest.tensors.flatMap((tensor, index) =>
    beside.has(tensor) ? [{ ...tensor, dtype: narrow?.dtypeOf(tensor) ?? tensor.dtype, index }] : [],
  );
  const places = new Map(kept.map(({ index }, place) => [index, place]));
  const hasher = new LeafHasher();
  let info: SpoolInfo | undefined;
  const fill = async (writer: TensorFileWriter): Promise<void> => {
    info = await write(async ({ tensorIndex, firstElement, tensor }, bytes) => {
      const place = places.get(tensorIndex);
      if (place === undefined) return;
      const dtype = narrow?.dtypeOf(tensor) ?? tensor.dtype;
      const rounded = narrow && dtype !== tensor.dtype ? narrow.round(bytes) : bytes;
      hasher.update(rounded);
      await writer.write(rounded, (writer.starts[place] as number) + (firstElement / 8) * DTYPES[dtype].bits);
    });
  };
  await writeTensorFile(beside.folder, beside.name, kept, { format: 'pt', ...beside.metadata }, fill, { durable: false });
  return { info: info as SpoolInfo, besideDigest: await hasher.finish().digest() };
}

/** Rounds float32 values to 16 bits. */
class Narrow {
  readonly #dtype: Dtype;
  readonly #cast: Codec;
  #rounded = new Uint8Array(0);

  constructor(dtype: 'BF16', codecs: CodecTable) {
    this.#dtype = dtype;
    this.#cast = codecOf(codecs, { codec: 'bf16' });
  }

  dtypeOf({ dtype }: TensorEntry): Dtype {
    return dtype === 'F32' ? this.#dtype : dtype;
  }

  /** The rounded values, valid until the next call. */
  round(bytes: Uint8Array): Uint8Array {
    const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    const size = this.#cast.encodedBytes(values.length);
    if (this.#rounded.length < size) this.#rounded = new Uint8Array(size);
    const rounded = this.#rounded.subarray(0, size);
    this.#cast.encode(values, rounded);
    return rounded;
  }
}

type OnBeside = (chunk: Chunk, bytes: Uint8Array) => void | Promise<void>;

function codedManifest({ addends, encodingFor, codecs }: CodedSumOptions): Manifest {
  const first = (addends[0] as SumOptions['addends'][number]).model.manifest;
  const tensors = first.tensors.map((tensor) => {
    const raw = { ...tensor, encoding: RAW };
    return DTYPES[tensor.dtype].quantizable ? { ...raw, encoding: encodingFor(raw) } : raw;
  });
  const manifest = { ...first, tensors };
  checkEncodings(manifest, codecs); // an encoding that cannot be fails here, not while bytes move
  return manifest;
}

/**
 * The coded sum as a state dict that can be read once; `onBeside` receives the bytes for the file
 * beside during that reading.
 */
function codedSum(options: CodedSumOptions, manifest: Manifest, onBeside: OnBeside): StateDict {
  const { addends, base, codecs, what, beside, onReport } = options;
  const sum = { addends, base, codecs, what, pool: poolFor({ manifest } as StateDict, codecs) };
  const code: SumCode = {
    manifest,
    prepare: (tensorIndex) => prepared(sum, manifest, tensorIndex),
    ...(beside && { beside: beside.of }),
  };
  async function* chunks(range?: ChunkRange): AsyncGenerator<Chunk> {
    for await (const summed of sumChunks({ ...sum, code }, range)) {
      onReport?.(summed.report);
      if (summed.beside) await onBeside(summed.chunk, summed.beside);
      yield summed.chunk;
    }
  }
  return { manifest, chunks };
}

/** Shows a tensor's whole sum to its codec before the first chunk is coded. */
async function prepared(sum: SumOptions, manifest: Manifest, tensorIndex: number): Promise<Prepared | undefined> {
  const preparation = codecOf(sum.codecs, (manifest.tensors[tensorIndex] as TensorEntry).encoding).prepare?.();
  if (!preparation) return undefined;
  for await (const { chunk } of sumChunks({ ...sum, pool: undefined }, tensorRange(manifest, tensorIndex))) {
    const { buffer, byteOffset, byteLength } = chunk.bytes;
    preparation.push(new Float32Array(buffer, byteOffset, byteLength / 4));
  }
  return preparation.finish();
}
