// Makes the plots of a report, as series in readable units, from a run's summary and curves.
import type { RunSeries } from '../../record/run-series.js';
import type { Summary } from '../../record/summary-schema.js';
import type { PageData, Plot, PlotSeries } from './page/page-data.js';

/**
 * More lines than this in one plot cannot be told apart; the tables and `metrics.jsonl` have all.
 */
export const LINES_SHOWN = 16;

/** More vertical lines than this hide the plot. */
const MARKS_SHOWN = 40;

const MIB = 2 ** 20;
const GIB = 2 ** 30;

/**
 * Plots of loss by step and by round, evaluation loss and exact match by round, and memory over
 * time; one without a line is not drawn.
 */
export function pagePlots(summary: Summary, series: RunSeries): PageData {
  return {
    plots: [
      lossByStep(summary, series),
      lossByRound(summary),
      evaluation(summary, 'plot-evaluation-loss', 'loss, nats a token', false, (found) => found.loss),
      evaluation(summary, 'plot-exact-match', 'exact match, %', true, ({ exactMatch }) =>
        exactMatch === null ? undefined : exactMatch * 100,
      ),
      memoryOverTime(summary, series),
    ],
  };
}

function lossByStep({ sites }: Summary, { loss, roundEnds }: RunSeries): Plot {
  const colours = siteColours(sites);
  const lines = Object.entries(loss).slice(0, LINES_SHOWN);
  return {
    id: 'plot-step-loss',
    xLabel: 'optimizer step',
    yLabel: 'loss, nats a token',
    xWhole: true,
    fromZero: false,
    // The last round needs no mark: the plot ends there.
    marks: roundEnds.length > MARKS_SHOWN ? [] : roundEnds.slice(0, -1),
    series: lines.map(([name, { x, y }]) => ({ name, x: x.map(short), y: y.map(short), colour: colours(name), points: x.length === 1 })),
  };
}

function lossByRound({ rounds, sites }: Summary): Plot {
  const shown = sites.slice(0, LINES_SHOWN);
  const series = shown.map((name, colour): PlotSeries => {
    const found = rounds.flatMap(({ round, sites: figures }) => {
      const trainLoss = Object.hasOwn(figures, name) ? figures[name]?.trainLoss : undefined;
      return typeof trainLoss === 'number' ? [{ round, trainLoss }] : [];
    });
    return { name, x: found.map(({ round }) => round), y: found.map(({ trainLoss }) => short(trainLoss)), colour, points: true };
  });
  return roundPlot('plot-round-loss', 'mean loss, nats a token', false, series, rounds.at(-1)?.round ?? 0);
}

type Evaluation = Summary['evaluations'][number];

function evaluation(
  { evaluations }: Summary,
  id: string,
  yLabel: string,
  fromZero: boolean,
  figure: (found: Evaluation) => number | undefined,
): Plot {
  const known = evaluations.flatMap((found) => {
    const y = figure(found);
    return y === undefined ? [] : [{ x: found.round, y: short(y) }];
  });
  const line = { name: 'global model', x: known.map(({ x }) => x), y: known.map(({ y }) => y) };
  return roundPlot(id, yLabel, fromZero, [{ ...line, colour: 0, points: true }], evaluations.at(-1)?.round ?? 0);
}

function roundPlot(id: string, yLabel: string, fromZero: boolean, series: readonly PlotSeries[], lastRound: number): Plot {
  return {
    id,
    xLabel: 'round',
    yLabel,
    xWhole: true,
    xRange: [0, Math.max(1, lastRound)],
    fromZero,
    marks: [],
    series: series.filter(({ x }) => x.length > 0),
  };
}

function memoryOverTime({ sites }: Summary, { memory }: RunSeries): Plot {
  const colours = siteColours(sites);
  const lines = Object.entries(memory).slice(0, LINES_SHOWN);
  const highest = Math.max(0, ...lines.flatMap(([, { y }]) => y));
  const longest = Math.max(0, ...lines.flatMap(([, { x }]) => x));
  const [unit, unitBytes] = highest >= 4 * GIB ? ['GiB', GIB] : ['MiB', MIB];
  const [time, timeSeconds] = longest >= 3 * 3600 ? ['hours', 3600] : longest >= 300 ? ['minutes', 60] : ['seconds', 1];
  return {
    id: 'plot-memory',
    xLabel: time,
    yLabel: `resident memory, ${unit}`,
    xWhole: false,
    fromZero: true,
    marks: [],
    series: lines.map(([name, { x, y }]) => ({
      name,
      x: x.map((seconds) => short(seconds / timeSeconds)),
      y: y.map((bytes) => short(bytes / unitBytes)),
      colour: colours(name),
      points: x.length === 1,
    })),
  };
}

/**
 * A site has the same colour in all plots; other processes, such as the server, come after the
 * sites.
 */
function siteColours(sites: readonly string[]): (name: string) => number {
  const order = new Map(sites.map((site, index) => [site, index]));
  return (name) => {
    const known = order.get(name) ?? order.size;
    order.set(name, known);
    return known;
  };
}

/** Six digits are more than a plot shows, and keep the page small. */
function short(value: number): number {
  return Number(value.toPrecision(6));
}
