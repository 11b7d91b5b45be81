// The plots of the evidence page, as SVG: differences with their intervals beside the margin, and
// losses by round.

const WIDTH = 760;
const COLOURS = ['#222222', '#1b6ca8', '#c8553d', '#588157', '#8f5bb0', '#d19c1d', '#3d7f7a', '#9c3d6b', '#777777'];
/**
 * Larger differences are drawn at the edge, with their figure, so that the rest can be told apart.
 */
const WIDEST_PERCENT = 6;

const text = (x, y, words, more = '') => `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" font-size="12" ${more}>${words}</text>`;
const svg = (height, title, body) =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif"><title>${title}</title><rect width="100%" height="100%" fill="white"/>\n${[text(12, 20, title, 'font-weight="bold"'), ...body].join('\n')}\n</svg>\n`;

/** A logarithm of a ratio as a difference in percent. */
export const percentOf = (logRatio) => 100 * Math.expm1(logRatio);
/** Rounds to a tenth of a pixel, so that plots are the same on every machine. */
const rounded = (value) => Number(value.toFixed(1));

/** A number with its sign, unless it rounds to 0. */
export function signed(value, digits = 2) {
  const figure = Math.abs(value).toFixed(digits);
  return Number(figure) === 0 ? figure : `${value < 0 ? '−' : '+'}${figure}`;
}

/** `groups` is [{name, arms}] with the result of `compareArms` for each arm; every arm is a row. */
export function whiskers(title, groups) {
  const [left, right, top, row] = [190, 90, 40, 20];
  const known = groups.flatMap(({ arms }) => arms).flatMap(({ mean, interval }) => [mean, ...(interval ?? [])].map(percentOf));
  const most = Math.min(WIDEST_PERCENT, Math.max(1.5, ...known.map(Math.abs)) * 1.05);
  const x = (percent) => rounded(left + ((WIDTH - left - right) * (Math.max(-most, Math.min(most, percent)) + most)) / (2 * most));
  const body = [];
  let y = top;
  for (const { name, arms } of groups) {
    if (groups.length > 1) body.push(text(12, y + 14, name, 'font-weight="bold"'));
    if (groups.length > 1) y += row;
    for (const one of arms) {
      body.push(...whisker(one, y + 10, x, most));
      y += row;
    }
  }
  const band = `<rect x="${x(-1)}" y="${top}" width="${rounded(x(1) - x(-1))}" height="${y - top}" fill="#e6f0e6"/>`;
  const step = most > 3 ? 2 : most > 1.6 ? 1 : 0.5;
  const ticks = Array.from({ length: 2 * Math.floor(most / step) + 1 }, (_, i) => (i - Math.floor(most / step)) * step);
  const grid = ticks.map(
    (tick) =>
      `<line x1="${x(tick)}" x2="${x(tick)}" y1="${top}" y2="${y}" stroke="${tick === 0 ? '#888' : '#ddd'}"/>${text(x(tick), y + 16, tick === 0 ? '0' : signed(tick, step < 1 ? 1 : 0), 'text-anchor="middle"')}`,
  );
  const label = text((left + WIDTH - right) / 2, y + 36, 'final loss against fp32, %; the band is ±1 %', 'text-anchor="middle"');
  return svg(y + 46, title, [band, ...grid, ...body, label]);
}

function whisker({ arm, mean, interval }, y, x, most) {
  const percent = percentOf(mean);
  const name = text(12, y + 4, arm);
  if (Math.abs(percent) > most) {
    const at = x(percent);
    const tip = Math.sign(percent);
    return [
      name,
      `<path d="M${at - 8 * tip} ${y - 5}L${at} ${y}L${at - 8 * tip} ${y + 5}" fill="#c8553d"/>`,
      text(WIDTH - 84, y + 4, `${signed(percent, 1)} %`),
    ];
  }
  const line = interval
    ? `<line x1="${x(percentOf(interval[0]))}" x2="${x(percentOf(interval[1]))}" y1="${y}" y2="${y}" stroke="#1b6ca8" stroke-width="2"/>`
    : '';
  return [name, line, `<circle cx="${x(percent)}" cy="${y}" r="4" fill="#1b6ca8"/>`, text(WIDTH - 84, y + 4, `${signed(percent)} %`)];
}

/** A chart of `lines`, [{name, losses}]; the first loss is the one before round 1. */
export function curves(title, lines) {
  const [left, right, top, bottom, height] = [60, 160, 40, 50, 400];
  const all = lines.flatMap(({ losses }) => losses);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const rounds = Math.max(...lines.map(({ losses }) => losses.length - 1));
  const x = (round) => rounded(left + ((WIDTH - left - right) * round) / Math.max(1, rounds));
  const y = (loss) => rounded(top + ((height - top - bottom) * (high - loss)) / Math.max(high - low, 1e-9));
  const grid = Array.from({ length: 6 }, (_, i) => low + ((high - low) * i) / 5).map(
    (loss) =>
      `<line x1="${left}" x2="${WIDTH - right}" y1="${y(loss)}" y2="${y(loss)}" stroke="#ddd"/>${text(12, y(loss) + 4, loss.toFixed(2))}`,
  );
  const ticks = Array.from({ length: rounds + 1 }, (_, round) =>
    text(x(round), height - bottom + 18, String(round), 'text-anchor="middle"'),
  );
  // Names stand at the ends of their lines, moved apart where lines end together.
  const ends = lines.map(({ losses }, index) => ({ index, at: y(losses.at(-1)) })).sort((a, b) => a.at - b.at);
  const gap = Math.min(15, (height - top - bottom) / Math.max(1, lines.length - 1));
  for (let i = 1; i < ends.length; i++) ends[i].at = Math.max(ends[i].at, ends[i - 1].at + gap);
  const over = Math.max(0, (ends.at(-1)?.at ?? 0) - (height - bottom));
  for (let i = ends.length - 1, limit = height - bottom; i >= 0 && over > 0; i--, limit -= gap) ends[i].at = Math.min(ends[i].at, limit);
  const labels = new Map(ends.map(({ index, at }) => [index, at]));
  const drawn = lines.map(({ name, losses }, index) => {
    const colour = COLOURS[index % COLOURS.length];
    const dash = index >= COLOURS.length ? ' stroke-dasharray="5 3"' : '';
    const points = losses.map((loss, round) => `${x(round).toFixed(1)},${y(loss).toFixed(1)}`).join(' ');
    return `<polyline points="${points}" fill="none" stroke="${colour}" stroke-width="2"${dash}/>${text(WIDTH - right + 10, labels.get(index) + 4, name, `fill="${colour}"`)}`;
  });
  const label = text((left + WIDTH - right) / 2, height - 10, 'rounds done', 'text-anchor="middle"');
  return svg(height, title, [...grid, ...ticks, ...drawn, label]);
}
