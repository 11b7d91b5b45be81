// The script of the report page: draws the plots with uPlot, in the page's colours and width.
import type UPlot from 'uplot';
import type { PageData, Plot, PlotSeries } from './page-data.js';

// Defined by the page's other script.
declare const uPlot: typeof UPlot;

const COLOURS = 8;
const HEIGHT = 260;
/** Width of a plot that fits a page of A4 or Letter, in pixels. */
const PRINT_WIDTH = 640;
const WHOLE_TICKS = [1, 2, 5].flatMap((first) => Array.from({ length: 10 }, (_, power) => first * 10 ** power)).sort((a, b) => a - b);

interface Theme {
  readonly ink: string;
  readonly grid: string;
  readonly font: string;
  readonly colours: readonly string[];
}

const data = JSON.parse(document.getElementById('page-data')?.textContent ?? '{"plots":[]}') as PageData;
const drawn = new Map<Plot, UPlot>();

function theme(): Theme {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  return {
    ink: colour('--muted'),
    grid: colour('--line'),
    font: `12px ${style.fontFamily}`,
    colours: Array.from({ length: COLOURS }, (_, index) => colour(`--series-${index}`)),
  };
}

function draw(plot: Plot, width: number): void {
  const target = document.getElementById(plot.id);
  if (!target || plot.series.length === 0) return;
  drawn.get(plot)?.destroy();
  const tables = plot.series.map(({ x, y }) => [[...x], [...y]] as UPlot.AlignedData);
  drawn.set(plot, new uPlot(options(plot, width, theme()), uPlot.join(tables), target));
}

function options(plot: Plot, width: number, { ink, grid, font, colours }: Theme): UPlot.Options {
  const axis = {
    stroke: ink,
    font,
    labelFont: font,
    labelSize: 20,
    grid: { stroke: grid, width: 1 },
    ticks: { stroke: grid, width: 1, size: 4 },
  };
  const { xRange } = plot;
  return {
    width,
    height: HEIGHT,
    scales: {
      x: { time: false, ...(xRange && { range: () => [xRange[0], xRange[1]] }) },
      y: { range: (_plot, least, most) => yRange(least, most, plot.fromZero) },
    },
    axes: [
      {
        ...axis,
        label: plot.xLabel,
        size: 34,
        ...(plot.xWhole && { incrs: WHOLE_TICKS }),
        ...(plot.marks.length > 0 && { grid: { show: false } }),
      },
      { ...axis, label: plot.yLabel, size: 56 },
    ],
    series: [{ label: plot.xLabel, value: (_plot, x) => reading(x) }, ...plot.series.map((series) => line(series, colours))],
    hooks: { drawClear: [(chart) => drawMarks(chart, plot.marks, ink)] },
    cursor: { drag: { x: true, y: false }, points: { size: 7 } },
    legend: { markers: { width: 3 } },
  };
}

function line({ name, colour, points }: PlotSeries, colours: readonly string[]): UPlot.Series {
  const stroke = colours[colour % COLOURS] ?? 'currentColor';
  return {
    label: name,
    stroke,
    width: points ? 2 : 1.25,
    dash: colour >= COLOURS ? [6, 4] : undefined,
    points: { show: points, size: 7, fill: stroke },
    value: (_plot, y) => reading(y),
  };
}

function yRange(least: number, most: number, fromZero: boolean): [number, number] {
  if (!Number.isFinite(least) || !Number.isFinite(most)) return [0, 1];
  const room = (most - least || Math.abs(most) || 1) * 0.06;
  if (fromZero && most <= 0) return [Math.min(0, least), 1];
  return [fromZero ? Math.min(0, least) : least - room, most + room];
}

function reading(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(5)));
}

function drawMarks(chart: UPlot, marks: readonly number[], colour: string): void {
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.globalAlpha = 0.55;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([3 * devicePixelRatio, 4 * devicePixelRatio]);
  for (const mark of marks) {
    const x = Math.round(chart.valToPos(mark, 'x', true));
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

function drawAll(width?: number): void {
  for (const plot of data.plots) draw(plot, width ?? widthOf(plot));
}

function widthOf(plot: Plot): number {
  return Math.max(240, document.getElementById(plot.id)?.clientWidth ?? 0);
}

drawAll();
document.documentElement.classList.add('drawn');
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => drawAll());
addEventListener('resize', () => {
  for (const [plot, chart] of drawn) chart.setSize({ width: widthOf(plot), height: HEIGHT });
});
// A print is always light, and has the width of the paper.
addEventListener('beforeprint', () => {
  document.documentElement.classList.add('paper');
  drawAll(PRINT_WIDTH);
});
addEventListener('afterprint', () => {
  document.documentElement.classList.remove('paper');
  drawAll();
});
