// The tables of the cost curves, made of measured rows.
import { wrap } from '../evidence/prose.mjs';
import { AXES } from './axes.mjs';
import { isFlat, knees, lineThrough } from './lines.mjs';

const SCALES = ['full', 'small'];

/** A table for each axis in Markdown, from the largest scale that was measured, with what is not straight below it. */
export function curveTables(rows) {
  const parts = Object.keys(AXES).flatMap((axis) => {
    const found = SCALES.map((scale) => rows.filter((row) => row.axis === axis && row.scale === scale)).find((some) => some.length > 0);
    return found ? [axisTable(axis, found)] : [];
  });
  return parts.length > 0 ? parts.join('\n\n') : 'The tree has no rows of it yet; the command measures them.';
}

function axisTable(axis, rows) {
  const { unit, curves } = AXES[axis];
  const places = [...new Set(rows.map(({ x }) => x))].sort((a, b) => a - b);
  const best = (curve, x, name) => Math.min(...rows.filter((row) => row.curve === curve && row.x === x).map((row) => row[name]));
  const heads = [unit, ...curves.flatMap((curve) => [`${curve}: seconds`, 'MiB'])];
  const lines = places.map((x) => [
    grouping(x),
    ...curves.flatMap((curve) => [best(curve, x, 'seconds').toFixed(2), grouping(Math.round(best(curve, x, 'mib')))]),
  ]);
  const notes = curves.map((curve) => {
    const of = (name) => places.map((x) => [x, best(curve, x, name)]);
    return item(
      `${curve}: ${axis === 'threads' ? speedUp(of('seconds')) : straightness(of('seconds'), unit)}; memory ${memory(of('mib'), unit)}.`,
    );
  });
  const [{ scale, date, cores }] = rows;
  const repeats = Math.max(...rows.map(({ repeat }) => repeat));
  const load = rows.flatMap((row) => row.load);
  const about = `\`node bench/curves.mjs --scale ${scale} --only ${axis}\` on ${date}: ${cores} cores, the best of ${repeats}, load ${Math.min(...load)} to ${Math.max(...load)}.`;
  return [`### By ${axis}`, wrap(about), table(heads, lines), notes.join('\n')].join('\n\n');
}

/** A sentence's part about the seconds: the line, and where they leave it. */
function straightness(points, unit) {
  const found = knees(points);
  if (points.length < 3) return 'two points make no curve';
  const { slope } = lineThrough(points);
  const each = `${significant(slope)} s more for each ${unit.replace(/s$/, '')}`;
  if (found.length === 0) return `a straight line, ${each}`;
  return `not straight (${each} over all): ${found.map(({ from, to, times }) => `from ${grouping(from)} to ${grouping(to)} ${slopeText(times)}`).join(', ')}`;
}

function slopeText(times) {
  return Number.isFinite(times) && times > 0 ? `${significant(times)} × the usual slope` : 'unlike the rest';
}

function memory(points, unit) {
  const values = points.map(([, y]) => y);
  if (isFlat(values)) return 'flat';
  const found = knees(points);
  const { slope } = lineThrough(points);
  const growth = `grows by ${significant(slope)} MiB for each ${unit.replace(/s$/, '')}`;
  if (found.length === 0) return growth;
  return `${growth} over all, and ${found.map(({ from, to, times }) => `from ${grouping(from)} to ${grouping(to)} ${slopeText(times)}`).join(', ')}`;
}

function speedUp(points) {
  const [[, alone], ...others] = points;
  return others.map(([threads, seconds]) => `${threads} threads ${significant(alone / seconds)} × one`).join(', ') || 'one thread alone';
}

function table(heads, lines) {
  const row = (cells) => `| ${cells.join(' | ')} |`;
  return [row(heads), `|${heads.map(() => '---|').join('')}`, ...lines.map(row)].join('\n');
}

/** An item of a list, wrapped. */
const item = (text) => `- ${wrap(text, 98).replaceAll('\n', '\n  ')}`;
const significant = (number) => String(Number(number.toPrecision(2)));
const grouping = (number) => number.toLocaleString('en-US');
