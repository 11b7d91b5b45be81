// What the script of the report page is given: plots as plain numbers, in units a person reads.

export interface PlotSeries {
  readonly name: string;
  readonly x: readonly number[];
  readonly y: readonly (number | null)[];
  /** Index into the page's colours `--series-0` to `--series-7`; more series repeat them, dashed. */
  readonly colour: number;
  readonly points: boolean;
}

export interface Plot {
  /** The id of the element that it is drawn into. */
  readonly id: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /** Whether x counts something: its ticks are whole numbers. */
  readonly xWhole: boolean;
  readonly xRange?: readonly [number, number];
  /** Whether y begins at 0. */
  readonly fromZero: boolean;
  /** Where thin vertical lines stand. */
  readonly marks: readonly number[];
  readonly series: readonly PlotSeries[];
}

export interface PageData {
  readonly plots: readonly Plot[];
}
