// The paper's Table II: the size of Llama-3.2-1B in each codec, computed, and confirmed by encoding
// it.
import type { CodecTable } from '../../codec/codec.js';
import { codecLabel, codecNames, parseCodecName } from '../../codec/codec-name.js';
import { hasVaryingCodes } from '../../codec/layout.js';
import { encodeModel } from '../../codec/quantize.js';
import { codedSize } from '../../codec/sizes.js';
import { FedStreamError } from '../../core/errors.js';
import { type Encoding, RAW } from '../../tensor/manifest.js';
import type { StateDict } from '../../tensor/state-dict.js';
import { llama1b } from './llama-shapes.js';
import { repeatedModel } from './normal-model.js';

/** The rows in this order; only the first five are in the paper. */
const FIRST = [
  'fp32',
  'fp16',
  'blockwise8',
  'fp4',
  'nf4',
  'bf16',
  'nf4-nested',
  'fp4-nested',
  'blockwise8:256',
  'nf4:32',
  'nf4:128',
  'nf4:256',
  'u4',
  'u3',
  'u2',
  'u1',
];

/** A row of the table. MB are 2^20 bytes, as in the paper. */
export interface SizeRow {
  readonly codec: string;
  readonly modelMB: number;
  /**
   * Block scales, and the code's map once for each tensor, as bitsandbytes keeps it and the paper
   * counts it.
   */
  readonly metaMB: number;
  readonly percentOfFp32: number;
  /**
   * Codes and scales, as FedStream sends them, without the map, which is part of the protocol; the
   * most that can be sent if codes vary in size.
   */
  readonly sentMB: number;
}

/** Options of the table. */
export interface SizeOptions {
  /** Encodes the whole model in every codec and compares the bytes with what was computed. */
  readonly confirm: boolean;
  readonly onRow?: (row: SizeRow) => void;
}

/**
 * The rows of the table; throws `internal` if a codec makes more or fewer bytes than were computed.
 */
export async function benchSizes(codecs: CodecTable, { confirm, onRow }: SizeOptions): Promise<SizeRow[]> {
  const manifest = llama1b();
  const model = repeatedModel(manifest, 1);
  const fp32 = codedSize(manifest, RAW, codecs).codeBytes;
  const rows: SizeRow[] = [];
  for (const name of namesOf(codecs)) {
    const encoding = parseCodecName(name, codecs);
    const { codeBytes, scaleBytes, mapBytes } = codedSize(manifest, encoding, codecs);
    if (confirm) await confirmSize(model, encoding, codecs, codeBytes + scaleBytes);
    const metaBytes = scaleBytes + mapBytes;
    const row = {
      codec: name,
      modelMB: mb(codeBytes),
      metaMB: mb(metaBytes),
      percentOfFp32: round((100 * (codeBytes + metaBytes)) / fp32),
      sentMB: mb(codeBytes + scaleBytes),
    };
    rows.push(row);
    onRow?.(row);
  }
  return rows;
}

/** Codecs of other packages come after those of this one. */
function namesOf(codecs: CodecTable): string[] {
  return [...FIRST, ...codecNames(codecs).filter((name) => !FIRST.includes(name))];
}

async function confirmSize(model: StateDict, encoding: Encoding, codecs: CodecTable, expected: number): Promise<void> {
  let bytes = 0;
  const coded = encodeModel(model, () => encoding, codecs);
  for await (const chunk of coded.chunks()) bytes += chunk.bytes.length;
  const most = hasVaryingCodes(coded.manifest, codecs);
  if (most ? bytes > expected : bytes !== expected)
    throw new FedStreamError(
      'internal',
      `${codecLabel(encoding, codecs)} made ${bytes} bytes where ${expected} were computed; please report it`,
    );
}

function mb(bytes: number): number {
  return round(bytes / 2 ** 20);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
