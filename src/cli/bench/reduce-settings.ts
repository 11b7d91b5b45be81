// Settings and report of the reducing process of `fedstream bench reduce`.

/** Settings, given as JSON in the last argument. */
export interface ReduceSettings {
  readonly folder: string;
  /** Names of the spools, in the order in which they arrived. */
  readonly arrived: readonly string[];
  readonly threads?: number | undefined;
}

/** The report, printed as a line of JSON. */
export interface ReduceReport {
  readonly seconds: number;
  readonly peakRssBytes: number;
}

/** Name of the file with the average, in the folder of the settings. */
export const REDUCED_MODEL = 'reduced.safetensors';
