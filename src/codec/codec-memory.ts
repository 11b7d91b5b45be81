// Lends buffers from a part of the kernels' memory: first fit, in whole pages.
import type { ChunkMemory } from '../tensor/chunk-memory.js';

const PAGE_BYTES = 65_536;

interface Loan {
  readonly at: number;
  readonly end: number;
}

/** Lends buffers from `bytes`, from `start` on. */
export function codecMemory(bytes: Uint8Array, start: number): ChunkMemory {
  const first = Math.ceil(start / PAGE_BYTES) * PAGE_BYTES;
  const loans: Loan[] = []; // ascending
  return {
    borrow(wanted) {
      const room = Math.ceil(wanted / PAGE_BYTES) * PAGE_BYTES;
      let at = first;
      let before = 0;
      for (; before < loans.length; before++) {
        const loan = loans[before] as Loan;
        if (loan.at - at >= room) break;
        at = loan.end;
      }
      if (room === 0 || at + room > bytes.length) return new Uint8Array(wanted);
      loans.splice(before, 0, { at, end: at + room });
      return bytes.subarray(at, at + wanted);
    },
    giveBack(buffer) {
      if (buffer.buffer !== bytes.buffer) return;
      const index = loans.findIndex((loan) => loan.at === buffer.byteOffset);
      if (index >= 0) loans.splice(index, 1);
    },
  };
}
