// The tables of the evidence page: a line for each arm, against fp32.
import { percentOf, signed } from './plots.mjs';
import { powerAt } from './statistics.mjs';

/** A logarithm of a ratio as a difference in percent, with its sign. */
export const percent = (logRatio) => `${signed(percentOf(logRatio))} %`;
/** The arithmetic mean. */
export const mean = (values) => values.reduce((sum, one) => sum + one, 0) / values.length;
const p = (value) => (value === undefined ? '' : value < 0.001 ? '< .001' : value.toFixed(3).replace(/^0/, ''));
const interval = (ends) => (ends ? `${signed(percentOf(ends[0]))} to ${signed(percentOf(ends[1]))}` : '');

/** A table in Markdown. */
export const markdown = (heads, lines) =>
  [`| ${heads.join(' | ')} |`, `|${heads.map(() => '---|').join('')}`, ...lines.map((line) => `| ${line.join(' | ')} |`)].join('\n');

/** Heads of the columns that `testCells` fills. */
export const TEST_HEADS = ['against fp32', '95 % interval', 'difference, p', 'equivalence, p', 'not worse, p', 'in words'];
/** The results of the tests as cells of a line. */
export function testCells(compared) {
  if (!compared) return ['', '', '', '', '', 'what the others are held against'];
  const { mean: logRatio, interval: ends, difference, equivalence, nonInferiority, verdict } = compared;
  return [percent(logRatio), interval(ends), p(difference), p(equivalence), p(nonInferiority), verdict];
}

/**
 * Bits for each parameter on the wire after the first round, and their share of fp32's. A last
 * broadcast that is only evaluated counts like any other.
 */
export function wireCells({ laterDown, laterUp, fp32LaterDown, fp32LaterUp }) {
  const [down, up] = [(32 * laterDown) / fp32LaterDown, (32 * laterUp) / fp32LaterUp];
  return [`${down.toFixed(2)} + ${up.toFixed(2)}`, `${((100 * (down + up)) / 64).toFixed(1)} %`];
}
/** Heads of the columns that `wireCells` fills. */
export const WIRE_HEADS = ['bits a parameter after round 1, down + up', 'of fp32'];

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** The power of a table's tests, in two sentences. */
export function powerText(compared) {
  const tested = compared.filter(({ count }) => count > 1);
  if (tested.length === 0) return '';
  const words = (deviation, count) => {
    const power = powerAt(deviation, count);
    return power > 0.999 ? 'more than 99.9 %' : `${(100 * power).toFixed(1)} %`;
  };
  const said = [];
  const floor = tested.find(({ arm }) => arm === 'floor');
  if (floor)
    said.push(
      `The floor arm differs from fp32 by a deviation of ${percentOf(floor.deviation).toPrecision(2)} %: with no more scatter than that, ${floor.count} pairs find an arm that is equal to be equal with a power of ${words(floor.deviation, floor.count)}.`,
    );
  const coded = tested.filter(({ arm }) => arm !== 'floor');
  if (coded.length > 0) {
    const deviation = median(coded.map((one) => one.deviation));
    said.push(
      `The codings' own differences scatter by ${percentOf(deviation).toPrecision(2)} % (the median of the arms): for an arm that scatters so, the power is ${words(deviation, median(coded.map(({ count }) => count)))}, before Holm's correction.`,
    );
  }
  return said.join(' ');
}
