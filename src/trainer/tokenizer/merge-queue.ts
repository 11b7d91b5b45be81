// A queue of merges that may be done: the lowest rank first, of equal ones the leftmost.

/** One merge: its rank, the place of its left part, and the token that it makes. */
export interface QueuedMerge {
  readonly rank: number;
  readonly at: number;
  readonly id: number;
}

/** A binary heap. */
export class MergeQueue {
  readonly #heap: QueuedMerge[] = [];

  push(rank: number, at: number, id: number): void {
    const heap = this.#heap;
    const entry = { rank, at, id };
    let place = heap.length;
    heap.push(entry);
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!isBefore(entry, heap[parent] as QueuedMerge)) break;
      heap[place] = heap[parent] as QueuedMerge;
      place = parent;
    }
    heap[place] = entry;
  }

  pop(): QueuedMerge | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (!top || !last || heap.length === 0) return top;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as QueuedMerge, heap[child] as QueuedMerge)) child++;
      if (!isBefore(heap[child] as QueuedMerge, last)) break;
      heap[place] = heap[child] as QueuedMerge;
      place = child;
    }
    heap[place] = last;
    return top;
  }
}

function isBefore(a: QueuedMerge, b: QueuedMerge): boolean {
  return a.rank !== b.rank ? a.rank < b.rank : a.at < b.at;
}
