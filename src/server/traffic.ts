// Bytes of a round over the connections, both ways.

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
