// Counts the bytes of a round that were sent and received.

/** Bytes of a round: `bytesDown` to the sites, `bytesUp` from them. */
export class Traffic {
  bytesDown = 0;
  bytesUp = 0;

  add(direction: 'down' | 'up', bytes: number): void {
    if (direction === 'down') this.bytesDown += bytes;
    else this.bytesUp += bytes;
  }

  reset(): void {
    this.bytesDown = 0;
    this.bytesUp = 0;
  }
}
