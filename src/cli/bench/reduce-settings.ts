// What the reducing process of `fedstream bench reduce` is told, and what it says.

/** Given as JSON in the last argument. */
export interface ReduceSettings {
  readonly folder: string;
  /** Names of the spools, in the order in which they arrived. */
  readonly arrived: readonly string[];
  readonly threads?: number | undefined;
}

/** Printed as a line of JSON. */
export interface ReduceReport {
  readonly seconds: number;
  readonly peakRssBytes: number;
}

export const REDUCED_MODEL = 'reduced.safetensors';
