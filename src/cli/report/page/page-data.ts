// The data that the script of the report page gets: plots as plain numbers, in readable units.

/** A line of a plot. */
export interface PlotSeries {
  readonly name: string;
  readonly x: readonly number[];
  readonly y: readonly (number | null)[];
  /**
   * Index into the page's colours `--series-0` to `--series-7`; more series repeat them, dashed.
   */
  readonly colour: number;
  readonly points: boolean;
}

/** A plot with its axes and lines. */
export interface Plot {
  /** The id of the element that the plot is drawn into. */
  readonly id: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /** True if x counts something, so that its ticks are whole numbers. */
  readonly xWhole: boolean;
  readonly xRange?: readonly [number, number];
  /** True if y begins at 0. */
  readonly fromZero: boolean;
  /** Values of x that get a thin vertical line. */
  readonly marks: readonly number[];
  readonly series: readonly PlotSeries[];
}

/** All plots of a page. */
export interface PageData {
  readonly plots: readonly Plot[];
}
