// The loops over columns on the SIMD kernels; every array lies in the kernels' memory.
import type { ColumnKernels } from './columns.js';
import type { Kernels } from './kernel-types.js';
import { NonFiniteValue } from './scaling.js';

/** The kernels of one thread; `columns.ts` has the reference. */
export function columnKernels({ run }: Kernels): ColumnKernels {
  return {
    sort: (rows, count) => run.sortColumns(rows.byteOffset, count, rows.length / count),
    dot: (a, b) => run.dotProduct(a.byteOffset, b.byteOffset, a.length),
    add: (from, weight, into) => run.accumulateF32(from.byteOffset, into.length, weight, into.byteOffset),
    refuseNonFinite(values) {
      const bad = run.nonFiniteIndex(values.byteOffset, values.length);
      if (bad >= 0) throw new NonFiniteValue(bad, values[bad] as number);
    },
  };
}
