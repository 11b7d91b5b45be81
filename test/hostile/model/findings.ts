// Violations of the model, and counts of what a run of it reached.

/** A promise of the server that was broken. */
export interface Finding {
  /** The broken promise, the same for the same fault. */
  readonly kind: string;
  readonly detail: string;
}

/** Collects findings and counts. */
export class Findings {
  readonly found: Finding[] = [];
  readonly counts = new Map<string, number>();

  add(kind: string, detail: string): void {
    this.found.push({ kind, detail });
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  /** Adds a finding unless the condition holds. */
  check(holds: boolean, kind: string, detail: () => string): void {
    if (!holds) this.add(kind, detail());
  }
}
