// A table of codecs on SIMD kernels, with the same bits as the reference codecs.
import type { Codec, CodecTable } from './codec.js';
import { referenceCodecs } from './codec-table.js';
import type { Kernels } from './kernel-types.js';

/** The same codecs over one instance of the kernels; a codec without a kernel stays as it is. */
export function wasmCodecs(kernels: Kernels, table: CodecTable = referenceCodecs): CodecTable {
  const rows = Object.values(table).map((row) => {
    const { kernel, codec } = row;
    return kernel ? { ...row, codec: (encoding: Parameters<typeof codec>[0]): Codec => kernel(kernels, codec(encoding)) } : row;
  });
  return Object.fromEntries(rows.map((row) => [row.name, row]));
}
