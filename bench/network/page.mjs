// The page and the plots of bench/network.mjs.

const WIDTH = 720;
const HEIGHT = 300;
const LEFT = 56;
const RIGHT = 130;
const BOTTOM = 50;
const COLOURS = ['#1b6ca8', '#c8553d', '#588157', '#8f5bb0', '#d19c1d', '#3d7f7a', '#9c3d6b', '#666666'];
const KIB = 1024;

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const chunkText = (bytes) => (bytes === undefined ? 'auto' : bytes < KIB * KIB ? `${bytes / KIB} KiB` : `${bytes / KIB / KIB} MiB`);
/** Limit of control latency: three round trips and 50 ms. */
const controlLimitMs = ({ roundTripMs }) => 3 * roundTripMs + 50;

/** A row as a line of text. */
export function rowText(row) {
  const { mbit, roundTripMs, lossPercent, scheme, stripes, chunkBytes } = row;
  const what = `${String(mbit).padStart(4)} Mbit ${String(roundTripMs).padStart(3)} ms ${lossPercent} % loss  ${scheme.padEnd(5)} chunks ${chunkText(chunkBytes).padEnd(7)} stripes ${stripes}`;
  if (row.failed) return `${what}  FAILED: ${row.failed}`;
  return `${what}  first ${percent(row.first)}  next ${percent(row.next)}  flow ${percent(row.flow)}  nf4 ${row.nf4Speedup.toFixed(2)} × sooner  control p99 ${row.controlP99Ms.toFixed(0)} ms (first ${row.controlFirstP99Ms.toFixed(0)}; limit ${controlLimitMs(row)})`;
}

const isAuto = (row) => row.chunkBytes === undefined && !row.large;
const isAlone = (row) => isAuto(row) && row.stripes === 1;
/** False for cubic with loss, which is measured only to compare it with its stripes. */
const isPlain = (row) => isAlone(row) && !(row.lossPercent > 0 && row.congestion === 'cubic');
const order = (a, b) => a.mbit - b.mbit || a.roundTripMs - b.roundTripMs || a.lossPercent - b.lossPercent;
const linkOf = ({ mbit, roundTripMs, lossPercent }) => `${mbit} Mbit/s, ${roundTripMs} ms, ${lossPercent} %`;

/** The last of all rows that were measured under the same conditions. */
export function latest(rows) {
  const conditions = ({ mbit, roundTripMs, lossPercent, scheme, stripes, chunkBytes, congestion, large = false }) =>
    JSON.stringify([mbit, roundTripMs, lossPercent, scheme, stripes, chunkBytes, congestion, large]);
  return [...new Map(rows.map((row) => [conditions(row), row])).values()];
}

/**
 * Plots by rate, without loss: a line for each driver, and one for each chunk size that was
 * measured.
 */
export function plotsOf(rows) {
  const plots = {};
  const good = rows.filter((row) => !row.failed && row.lossPercent === 0 && row.stripes === 1);
  for (const mbit of [...new Set(good.map((row) => row.mbit))].sort((a, b) => a - b)) {
    const of = good.filter((row) => row.mbit === mbit);
    const title = `${mbit} Mbit/s without loss: share of the link's payload while a model flows`;
    plots[`network-${mbit}-mbit.svg`] = plot(of.filter(isPlain), title, { nameOf: (row) => row.scheme, shareOf: (row) => row.flow });
    const sized = of.filter((row) => row.chunkBytes !== undefined && row.scheme === of[0].scheme);
    if (sized.length > 0)
      plots[`network-${mbit}-mbit-chunks.svg`] = plot(
        sized.sort((a, b) => a.chunkBytes - b.chunkBytes),
        `${mbit} Mbit/s without loss, ${of[0].scheme}: share of the link's payload in a transfer, by size of chunk`,
        { nameOf: (row) => chunkText(row.chunkBytes), shareOf: (row) => row.next },
      );
  }
  return plots;
}

function plot(rows, title, { nameOf, shareOf }) {
  const roundTrips = [...new Set(rows.map((row) => row.roundTripMs))].sort((a, b) => a - b);
  const x = (ms) => LEFT + ((WIDTH - LEFT - RIGHT) * roundTrips.indexOf(ms)) / Math.max(roundTrips.length - 1, 1);
  const y = (share) => 30 + (HEIGHT - 30 - BOTTOM) * (1 - Math.min(share, 1));
  const text = (at, down, words, more = '') => `<text x="${at}" y="${down}" font-size="12" ${more}>${words}</text>`;
  const lines = [...new Set(rows.map(nameOf))].map((name, i) => {
    const points = rows.filter((row) => nameOf(row) === name).sort(order);
    const colour = COLOURS[i % COLOURS.length];
    const dots = points.map((row) => `<circle cx="${x(row.roundTripMs)}" cy="${y(shareOf(row))}" r="3.5" fill="${colour}"/>`).join('');
    const line = points.map((row) => `${x(row.roundTripMs)},${y(shareOf(row))}`).join(' ');
    return `<polyline points="${line}" fill="none" stroke="${colour}" stroke-width="2"/>${dots}${text(WIDTH - RIGHT + 20, 45 + 18 * i, name, `fill="${colour}"`)}`;
  });
  const grid = [0, 0.25, 0.5, 0.75, 1].map(
    (share) =>
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(share)}" y2="${y(share)}" stroke="#ddd"/>${text(10, y(share) + 4, `${share * 100} %`)}`,
  );
  const ticks = roundTrips.map((ms) => text(x(ms), HEIGHT - BOTTOM + 18, `${ms} ms`, 'text-anchor="middle"'));
  const label = text((WIDTH - RIGHT) / 2, HEIGHT - 10, 'round trip', 'text-anchor="middle"');
  const body = [text(LEFT, 18, title, 'font-weight="bold"'), ...grid, ...ticks, label, ...lines].join('\n');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif"><title>${title}</title><rect width="100%" height="100%" fill="white"/>\n${body}\n</svg>\n`;
}

const COLUMNS = ['first', 'next', 'flow', 'nf4 sooner', 'control, p99', 'in the first'];

function table(rows, names, cellsOf) {
  const heads = ['rate', 'round trip', 'loss', ...names, 'size', ...COLUMNS];
  const lines = [...rows].sort(order).map((row) => {
    const { mbit, roundTripMs, lossPercent, megabytes } = row;
    const figures = row.failed
      ? [row.failed, ...COLUMNS.slice(1).map(() => '')]
      : [
          percent(row.first),
          percent(row.next),
          percent(row.flow),
          `${row.nf4Speedup.toFixed(2)} ×`,
          `${row.controlP99Ms.toFixed(0)} ms`,
          `${row.controlFirstP99Ms.toFixed(0)} ms`,
        ];
    return [`${mbit} Mbit/s`, `${roundTripMs} ms`, `${lossPercent} %`, ...cellsOf(row), `${megabytes.toFixed(0)} MB`, ...figures];
  });
  return [heads, heads.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** A line, before the tables, that counts the rows that reach the target and names the others. */
function reached(rows, title, holds) {
  const short = rows.filter((row) => row.failed || !holds(row));
  const where = short.length > 6 ? '' : short.map((row) => `${row.scheme} at ${linkOf(row)}`).join('; ');
  return `| ${title} | ${rows.length - short.length} of ${rows.length} | ${where} |`;
}

function gain(row, alone) {
  if (!alone || alone.failed || row.failed) return '';
  return `${(row.next / alone.next).toFixed(1)} ×, ${(row.first / alone.first).toFixed(1)} ×`;
}

/** A table with a row for each link and driver, and a column for each chunk size. */
function chunkTable(rows) {
  const sizes = [...new Set(rows.map((row) => row.chunkBytes))].sort((a, b) => a - b);
  const lines = new Map();
  for (const row of [...rows].sort(order)) {
    const name = `${linkOf(row)} | ${row.scheme}`;
    lines.set(name, { ...lines.get(name), [row.chunkBytes]: row });
  }
  const cell = (row) =>
    row ? (row.failed ?? `${percent(row.next)}, ${row.nf4Speedup.toFixed(1)} ×, ${row.controlP99Ms.toFixed(0)} ms`) : '';
  const body = [...lines].map(([name, bySize]) => `| ${name} | ${sizes.map((size) => cell(bySize[size])).join(' | ')} |`);
  return [`| link | driver | ${sizes.map(chunkText).join(' | ')} |`, `|---|---|${sizes.map(() => '---').join('|')}|`, ...body].join('\n');
}

/** The page, from all rows. */
export function networkPage(rows, plots) {
  const plain = rows.filter(isPlain);
  const lossless = plain.filter((row) => row.lossPercent === 0);
  const lossy = plain.filter((row) => row.lossPercent > 0);
  const large = rows.filter((row) => row.large);
  const chunks = rows.filter((row) => row.chunkBytes !== undefined);
  const stripes = rows.filter((row) => isAuto(row) && row.stripes > 1);
  const beside = (row) =>
    rows.filter(isAlone).find((one) => linkOf(one) === linkOf(row) && one.scheme === row.scheme && one.congestion === row.congestion);
  const floor = (row) => (row.scheme === 'http' ? 0.85 : 0.93);
  const congestion = (some) => [...new Set(some.map((row) => row.congestion))].join(' and ');
  const sections = [
    `# Networks

Transfers between two network namespaces over a shaped link, made by \`node bench/network.mjs --rows bench/network/rows.json --page docs/network.md\`: \`--help\` shows the options, and each section says its
own. The link was ${rows[0]?.emulator === 'tc netem' ? 'tc netem over veth' : '`bench/network/link.c` over tun (the kernel had no tc netem)'}, with a queue of 50 ms and a round trip; TCP's congestion
control was ${congestion(lossless)} without loss${lossy.length > 0 ? ` and ${congestion(lossy)} with it` : ''}; packets have 1500 bytes. Both namespaces let sockets grow to 128 MiB (\`tcp_rmem\`, \`tcp_wmem\`) and keep
their windows while they are idle, as a machine on such a path should. The machine had two cores, for both ends and the link; its host took up to a tenth of their time, in pauses of 10 ms
and more, which is what the worst figures of control have in them.

- **Payload** is what TCP leaves of the link: 1448 of 1500 bytes.
- **First** is the first transfer of a connection, from \`send()\` to \`done\`, TCP's slow start with it; **next** is a later one, as in every round but the first.
- **Flow** is that later one without what a stream begins and ends with (a round trip): from the first verified leaf to the last.
- **nf4** is how much sooner a model is there when it is coded so, from \`send()\` to \`done\` (its size, without the time to code it).
- **Control** is the 99th percentile of a request and its reply every 20 ms, while a later transfer fills the link, and while the first does.

| what is asked | cells that reach it | which do not |
|---|---|---|
${[
  reached(lossless, 'flow at least 93 % of the payload (http 85 %), no loss', (row) => row.flow >= floor(row)),
  reached(lossless, 'the same from `send()` to `done`, in a later transfer', (row) => row.next >= floor(row)),
  reached(large, 'nf4 at least 6.5 × sooner, no loss, models of 200 MB and 200 round trips', (row) => row.nf4Speedup >= 6.5),
  reached(lossless, 'the same with 200 MB', (row) => row.nf4Speedup >= 6.5),
  reached(lossless, 'control within three round trips and 50 ms, no loss', (row) => row.controlP99Ms <= controlLimitMs(row)),
  reached(
    rows.filter((row) => row.lossPercent > 0),
    'ends, with loss',
    () => true,
  ),
].join('\n')}

On a long fat path, 200 MB are few: at 1 Gbit/s they take 1.7 s, and the round trip of 200 ms that the first byte and the last word need makes 89 % the most that there can be; nf4, at a seventh of
the bytes, takes about as long for that round trip as for its bytes. Models are larger.

${plots.map((name) => `![${name}](images/${name})`).join('\n\n')}

## Drivers
\`--loss 0 --chunks auto --stripes 1\`, and with loss \`--loss 1 --mb …\` of the sizes here.

${table(plain, ['driver'], (row) => [row.scheme])}`,
  ];
  if (large.length > 0)
    sections.push(`## Models that fill the link for 200 round trips
\`--loss 0 --chunks auto --stripes 1 --round-trips 200 --drivers tcp,http\`; the first transfer is of 200 MB. At 1 Gbit/s and 1 ms \`--mb 1000\`.

${table(large, ['driver'], (row) => [row.scheme])}`);
  if (stripes.length > 0)
    sections.push(`## Stripes
\`--drivers tcp --chunks auto --stripes 1,4\`: one connection, and several that carry one session (\`fedstream client --stripes\`). With loss \`--loss 1 --mb …\`; TCP's congestion control was
${congestion(stripes)} (\`--congestion cubic,cubic\`). **Gain** is what they make of the later transfer, and of the first.

${table(
  [...stripes, ...stripes.map(beside).filter(Boolean)].sort((a, b) => a.congestion.localeCompare(b.congestion) || a.stripes - b.stripes),
  ['TCP', 'stripes', 'gain'],
  (row) => [row.congestion, row.stripes, row.stripes > 1 ? gain(row, beside(row)) : ''],
)}`);
  if (chunks.length > 0)
    sections.push(`## Sizes of chunks
\`--chunks 64,256,1024,4096 --stripes 1\`, 200 MB at 1 Gbit/s and 60 MB on slower links, and 20 MB with loss, which at 1 Gbit/s was measured over tcp, http and grpc: a later transfer from \`send()\` to \`done\`, how much sooner nf4 is there, and control's 99th percentile. Left to itself a stream takes 5 ms of its path, from 32 KiB to 1 MiB.

${chunkTable(chunks)}`);
  return `${sections.join('\n\n')}\n`;
}
